//! Objects in a bucket of S3, or of a store that speaks its protocol.
//!
//! `replace` is a PUT, and `create` one with `If-None-Match: *`, which S3, R2, MinIO, Ceph, GCS and others honour. A store that ignores the
//! header would let one writer overwrite another, so [`S3Objects::open`] tries it: it creates an object twice, and refuses
//! a store that takes the second. An answer that got lost is asked for again, and may then say that the object existed
//! although this writer made it: whoever needs to know reads and compares.
//!
//! Requests run on a small runtime of its own, so that a caller may be any thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path as Key;
use object_store::{Error, GetOptions, ObjectStore, PutMode, PutOptions, PutPayload, RetryConfig};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::http::Connector;
use super::{Child, Created, Object, ObjectName, Objects};
use crate::error::{Action, StoreError};

/// Requests at once.
const REQUESTS_MAX: usize = 16;
/// How often, and how long in all, a request is tried again.
const RETRIES_MAX: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a bucket is and who may use it.
#[derive(Clone)]
pub struct S3Config {
    /// The endpoint, as in `https://s3.eu-central-1.amazonaws.com`. A plain `http` one is for this machine alone.
    pub endpoint: String,
    /// The region, as the store calls it.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What comes before every object's name in the bucket, without a slash at its end; empty for nothing.
    pub prefix: String,
    /// The id of the access key.
    pub access_key_id: String,
    /// The secret of the access key.
    pub secret_access_key: Zeroizing<String>,
}

impl core::fmt::Debug for S3Config {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Why a bucket cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum S3Error {
    /// Credentials would go over the network in the clear.
    #[error("expected an `https` endpoint: plain `http` is for this machine alone")]
    Plain,
    /// It does not honour `If-None-Match: *`.
    #[error(
        "the store overwrites an object in spite of `If-None-Match: *`; use one that supports conditional writes"
    )]
    Overwrites,
    /// A request's task ended without an answer.
    #[error("a request ended without an answer")]
    NoAnswer,
}

/// A bucket's objects.
#[derive(Debug)]
pub struct S3Objects {
    // Taken when dropped: a runtime may not be waited for on a thread of another one.
    runtime: Option<Runtime>,
    store: Arc<AmazonS3>,
    bucket: String,
    prefix: String,
}

impl S3Objects {
    /// Connects to a bucket that exists, and checks that it does not overwrite.
    ///
    /// # Errors
    /// [`StoreError`]; its source is [`S3Error`] when the bucket will not do.
    pub fn open(config: &S3Config) -> Result<Self, StoreError> {
        let objects = Self::open_to_read(config)?;
        objects.check_create(&place_of(config))?;
        Ok(objects)
    }

    /// Connects to a bucket for reading: nothing is written, and nothing is asked yet.
    ///
    /// # Errors
    /// [`StoreError`]; its source is [`S3Error`] when the endpoint will not do.
    pub fn open_to_read(config: &S3Config) -> Result<Self, StoreError> {
        let place = place_of(config);
        let fail = |source| StoreError::from_io(Action::Write, &place, source);
        if !config.endpoint.starts_with("https://") && !is_local(&config.endpoint) {
            return Err(fail(std::io::Error::other(S3Error::Plain)));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(REQUESTS_MAX)
            .thread_name("credence-s3")
            .enable_time()
            .build()
            .map_err(fail)?;
        let retry = RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        };
        let store = AmazonS3Builder::new()
            .with_endpoint(&config.endpoint)
            .with_region(&config.region)
            .with_bucket_name(&config.bucket)
            .with_access_key_id(&config.access_key_id)
            .with_secret_access_key(config.secret_access_key.as_str())
            .with_allow_http(true)
            .with_virtual_hosted_style_request(false)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(retry)
            .with_http_connector(Connector)
            .build()
            .map_err(|error| fail(std::io::Error::other(error)))?;
        Ok(Self {
            runtime: Some(runtime),
            store: Arc::new(store),
            bucket: config.bucket.clone(),
            prefix: config.prefix.clone(),
        })
    }

    /// Creates one small object twice. It stays, so that the next opening has less to do.
    fn check_create(&self, place: &std::path::Path) -> Result<(), StoreError> {
        let fail = |error: S3Error| {
            StoreError::from_io(Action::Write, place, std::io::Error::other(error))
        };
        let name = ObjectName::new("probe").map_err(|_| fail(S3Error::NoAnswer))?;
        let probe = Object {
            name,
            bytes: b"Whether this store creates without overwriting.\n".to_vec(),
        };
        let probe = core::slice::from_ref(&probe);
        self.create(probe)?;
        match self.create(probe)?.as_slice() {
            [Created::Existed] => Ok(()),
            _ => Err(fail(S3Error::Overwrites)),
        }
    }

    fn key(&self, name: &ObjectName) -> Key {
        if self.prefix.is_empty() {
            Key::from(name.as_str())
        } else {
            Key::from(format!("{}/{name}", self.prefix))
        }
    }

    /// The error of an object, by its reason.
    fn error(&self, action: Action, key: &Key, error: Error) -> StoreError {
        let path = PathBuf::from(format!("s3://{}/{key}", self.bucket));
        match error {
            Error::NotFound { .. } => StoreError::Absent { path },
            Error::AlreadyExists { .. } => StoreError::Exists { path },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                StoreError::Denied { path, action }
            }
            other => StoreError::Io {
                path,
                action,
                source: std::io::Error::other(other),
            },
        }
    }

    /// Waits on this thread for work on the runtime.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Io {
            path: PathBuf::from(format!("s3://{}", self.bucket)),
            action: Action::Write,
            source: std::io::Error::other(S3Error::NoAnswer),
        };
        let (tell, hear) = sync_channel(1);
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        runtime.spawn(async move {
            // Whoever waited is still there: it waits until this or the end of the task.
            let _heard = tell.send(work.await);
        });
        hear.recv().map_err(|_| gone())
    }
}

impl Drop for S3Objects {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Objects for S3Objects {
    fn get(&self, name: &ObjectName, len_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.key(name);
        let (store, asked) = (Arc::clone(&self.store), key.clone());
        let got = self.wait(async move {
            let got = store.get_opts(&asked, GetOptions::default()).await?;
            if got.meta.size > len_max {
                return Ok(None);
            }
            got.bytes().await.map(Some)
        })?;
        match got {
            Ok(Some(bytes)) => Ok(Some(bytes.to_vec())),
            Ok(None) => Err(StoreError::TooLong {
                path: PathBuf::from(format!("s3://{}/{key}", self.bucket)),
                max: len_max,
            }),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(Action::Read, &key, error)),
        }
    }

    fn create(&self, objects: &[Object]) -> Result<Vec<Created>, StoreError> {
        let keys: Vec<Key> = objects
            .iter()
            .map(|object| self.key(&object.name))
            .collect();
        let bodies = objects.iter().map(|object| object.bytes.clone());
        let puts: Vec<(Key, Vec<u8>)> = keys.iter().cloned().zip(bodies).collect();
        let store = Arc::clone(&self.store);
        let puts = puts.into_iter();
        let all = self.wait(some_at_once(puts.map(move |(key, bytes)| {
            put(Arc::clone(&store), key, bytes, PutMode::Create)
        })))?;
        let named = keys.iter().zip(all);
        named
            .map(|(key, answer)| match answer {
                Ok(()) => Ok(Created::New),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                    Ok(Created::Existed)
                }
                Err(error) => Err(self.error(Action::Write, key, error)),
            })
            .collect()
    }

    fn replace(&self, object: &Object) -> Result<(), StoreError> {
        let key = self.key(&object.name);
        let (store, asked, bytes) = (Arc::clone(&self.store), key.clone(), object.bytes.clone());
        let done = self.wait(put(store, asked, bytes, PutMode::Overwrite))?;
        done.map_err(|error| self.error(Action::Write, &key, error))
    }

    fn list(&self, folder: &ObjectName) -> Result<Vec<Child>, StoreError> {
        let key = self.key(folder);
        let (store, asked) = (Arc::clone(&self.store), key.clone());
        let listed = self.wait(async move { store.list_with_delimiter(Some(&asked)).await })?;
        let listed = listed.map_err(|error| self.error(Action::Read, &key, error))?;
        let objects = listed
            .objects
            .iter()
            .filter_map(|meta| meta.location.filename());
        let folders = listed.common_prefixes.iter().filter_map(Key::filename);
        let mut children: Vec<Child> = objects
            .map(|name| Child::Object(name.to_owned()))
            .chain(folders.map(|name| Child::Folder(name.to_owned())))
            .collect();
        children.sort();
        Ok(children)
    }

    fn remove(&self, names: &[ObjectName]) -> Result<(), StoreError> {
        let keys: Vec<Key> = names.iter().map(|name| self.key(name)).collect();
        let store = Arc::clone(&self.store);
        let asked = keys.clone().into_iter();
        let all = self.wait(some_at_once(
            asked.map(move |key| delete(Arc::clone(&store), key)),
        ))?;
        for (key, answer) in keys.iter().zip(all) {
            match answer {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.error(Action::Remove, key, error)),
            }
        }
        Ok(())
    }
}

/// Answers in the order of the requests, of which some run at once.
async fn some_at_once<F>(requests: impl Iterator<Item = F> + Send) -> Vec<Result<(), Error>>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut answers = Vec::new();
    let mut running = std::collections::VecDeque::new();
    for request in requests {
        if running.len() >= REQUESTS_MAX
            && let Some(first) = running.pop_front()
        {
            answers.push(finish(first).await);
        }
        running.push_back(tokio::spawn(request));
    }
    for first in running {
        answers.push(finish(first).await);
    }
    answers
}

async fn delete(store: Arc<AmazonS3>, key: Key) -> Result<(), Error> {
    use object_store::ObjectStoreExt as _;
    store.delete(&key).await
}

async fn put(store: Arc<AmazonS3>, key: Key, bytes: Vec<u8>, mode: PutMode) -> Result<(), Error> {
    let options = PutOptions {
        mode,
        ..PutOptions::default()
    };
    store
        .put_opts(&key, PutPayload::from(bytes), options)
        .await?;
    Ok(())
}

async fn finish(task: tokio::task::JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    task.await.map_err(|source| Error::JoinError { source })?
}

fn place_of(config: &S3Config) -> PathBuf {
    PathBuf::from(format!("s3://{}/{}", config.bucket, config.prefix))
}

/// Whether a plain endpoint is this very machine.
fn is_local(endpoint: &str) -> bool {
    let host = endpoint.strip_prefix("http://").unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_in_the_clear_to_this_machine_alone() {
        for good in [
            "http://127.0.0.1:9000",
            "http://localhost",
            "http://[::1]:1/x",
        ] {
            assert!(is_local(good), "{good}");
        }
        for bad in [
            "http://example.org",
            "http://127.0.0.1.example.org",
            "http://127.0.0.1@example.org:80",
            "ftp://localhost",
            "localhost",
            "",
        ] {
            assert!(!is_local(bad), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let config = S3Config {
            endpoint: String::new(),
            region: String::new(),
            bucket: String::new(),
            prefix: String::new(),
            access_key_id: "AKID".to_owned(),
            secret_access_key: Zeroizing::new("hush".to_owned()),
        };
        assert!(!format!("{config:?}").contains("hush"));
    }
}
