//! An S3 server of its own for one test: `s3s-fs`, over a temporary folder, behind real HTTP and signatures.
//!
//! `s3s-fs` honours `If-None-Match: *`, though it looks before it writes: of two at the same instant both could win. So conditional PUTs
//! take turns here, by a lock that a real store has inside. What races against this server is therefore the client and what is built
//! on it, and not the store.

use std::sync::Arc;

use credence_store::objects::S3Config;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const KEY_ID: &str = "AKIDTEST";
const SECRET: &str = "a secret of the test";
pub(crate) const BUCKET: &str = "credence";

/// A running server; stopped when dropped.
pub(crate) struct Server {
    folder: TempDir,
    _runtime: Runtime,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let service = service.build();
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let turns = Arc::new(tokio::sync::Mutex::new(()));
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, turns) = (service.clone(), Arc::clone(&turns));
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (service, turns) = (service.clone(), Arc::clone(&turns));
                    async move {
                        let asks = request.headers().contains_key("if-none-match");
                        let _turn = match asks {
                            true => Some(turns.lock().await),
                            false => None,
                        };
                        Service::call(&service, request).await
                    }
                });
                tokio::spawn(async move {
                    let connection = Builder::new(TokioExecutor::new());
                    let _ended = connection
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self {
            folder,
            _runtime: runtime,
            port,
        }
    }

    /// The same as a file that says where the bucket is.
    pub(crate) fn file(&self, prefix: &str) -> String {
        format!(
            "endpoint = \"http://127.0.0.1:{}\"\nregion = \"us-east-1\"\nbucket = \"{BUCKET}\"\nprefix = \"{prefix}\"\naccess_key_id = \"{KEY_ID}\"\nsecret_access_key = \"{SECRET}\"\n",
            self.port
        )
    }

    /// Where the server keeps the bucket.
    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.folder.path().join(BUCKET)
    }

    pub(crate) fn config(&self, prefix: &str) -> S3Config {
        S3Config {
            endpoint: format!("http://127.0.0.1:{}", self.port),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            access_key_id: KEY_ID.to_owned(),
            secret_access_key: SECRET.to_owned().into(),
        }
    }
}
