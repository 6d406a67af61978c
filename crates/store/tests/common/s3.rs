//! An S3 server of its own for one test: `s3s-fs`, over a temporary folder, behind real HTTP and signatures.
//!
//! It honours `If-None-Match: *`, though it looks before it writes: two at the same instant could both win, so no test
//! here races against it.

use credence_store::objects::S3Config;
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
    _folder: TempDir,
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
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let connection = Builder::new(TokioExecutor::new());
                    let _ended = connection
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self {
            _folder: folder,
            _runtime: runtime,
            port,
        }
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
