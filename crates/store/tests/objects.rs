//! One suite for both object stores: a folder, and a bucket of a real server that speaks S3's protocol.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure is the test's"
)]

mod common;

use std::sync::Arc;

use common::s3::Server;
use credence_base::ReceiptDigest;
use credence_store::file::Access;
use credence_store::objects::{
    Child, Created, FolderObjects, Object, ObjectName, Objects, S3Objects,
};
use credence_store::{Receipts as _, StoreError, Vault, VaultKey};

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

fn object(text: &str, bytes: &[u8]) -> Object {
    Object {
        name: name(text),
        bytes: bytes.to_vec(),
    }
}

fn suite(objects: &dyn Objects) {
    assert_eq!(objects.get(&name("a"), 10).unwrap(), None);
    assert_eq!(objects.list(&name("tile")).unwrap(), []);
    let batch: Vec<Object> = (0..40u8)
        .map(|i| object(&format!("tile/0/{i:03}"), &[i; 100]))
        .collect();
    assert_eq!(objects.create(&batch).unwrap(), [Created::New; 40]);
    let mixed = [
        object("tile/0/003", b"other"),
        object("tile/0/040.p/5", b""),
        object("b", b"1"),
    ];
    let created = objects.create(&mixed).unwrap();
    assert_eq!(created, [Created::Existed, Created::New, Created::New]);
    for i in 0..40u8 {
        let got = objects.get(&name(&format!("tile/0/{i:03}")), 100).unwrap();
        assert_eq!(got, Some(vec![i; 100]));
    }
    assert_eq!(
        objects.get(&name("tile/0/040.p/5"), 0).unwrap(),
        Some(Vec::new())
    );
    assert!(matches!(
        objects.get(&name("tile/0/003"), 99),
        Err(StoreError::TooLong { max: 99, .. })
    ));
    let listed = objects.list(&name("tile/0")).unwrap();
    let mut expected: Vec<Child> = (0..40).map(|i| Child::Object(format!("{i:03}"))).collect();
    expected.push(Child::Folder("040.p".to_owned()));
    assert_eq!(listed, expected);
    assert_eq!(
        objects.list(&name("tile")).unwrap(),
        [Child::Folder("0".to_owned())]
    );
    objects.remove(&[name("b"), name("tile/0/000")]).unwrap();
    objects
        .remove(&[name("b"), name("no/such/folder")])
        .unwrap();
    objects.remove(&[]).unwrap();
    assert_eq!(objects.get(&name("tile/0/000"), 100).unwrap(), None);
    assert_eq!(objects.get(&name("b"), 10).unwrap(), None);
    assert_eq!(
        objects.create(&[object("b", b"2")]).unwrap(),
        [Created::New]
    );
    assert_eq!(objects.create(&[]).unwrap(), []);
    // What is replaced was there or not; what was created stays what it was.
    for bytes in [b"one".as_slice(), b"two, longer", b""] {
        objects.replace(&object("newest", bytes)).unwrap();
        assert_eq!(
            objects.get(&name("newest"), 20).unwrap(),
            Some(bytes.to_vec())
        );
    }
    objects.replace(&object("new/folder/x", b"1")).unwrap();
    assert_eq!(
        objects.create(&[object("newest", b"3")]).unwrap(),
        [Created::Existed]
    );
    assert_eq!(objects.list(&name("newest")).unwrap(), []);
    objects
        .remove(&[name("newest"), name("new/folder/x")])
        .unwrap();
}

/// Of many threads that create one name, one wins.
fn race(objects: &dyn Objects, rounds: u32) {
    for round in 0..rounds {
        let name = format!("race/{round}");
        let won: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..4u8)
                .map(|who| {
                    let name = &name;
                    scope.spawn(move || objects.create(&[object(name, &[who])]).unwrap())
                })
                .collect();
            let results = tries.into_iter().map(|t| t.join().unwrap());
            results.filter(|r| r == &[Created::New]).count()
        });
        assert_eq!(won, 1);
    }
}

/// Whoever reads what is replaced all the time sees one of the versions, whole.
fn replaced_whole(objects: &dyn Objects) {
    objects.replace(&object("head", &[0; 3000])).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for byte in 1..40u8 {
                objects.replace(&object("head", &[byte; 3000])).unwrap();
            }
        });
        while !writer.is_finished() {
            let seen = objects.get(&name("head"), 3000).unwrap().unwrap();
            assert!(seen.len() == 3000 && seen.iter().all(|byte| *byte == seen[0]));
        }
    });
}

fn vault_suite(objects: Arc<dyn Objects>) {
    let key = VaultKey::from_bytes([7; 32].into());
    let vault = Vault::new(objects, Some(key), 1000);
    let digest = ReceiptDigest::from_bytes([0xab; 32]);
    vault.put(digest, b"bundle").unwrap();
    assert_eq!(&*vault.get(digest).unwrap().unwrap(), b"bundle");
    // Two centuries on.
    assert_eq!(vault.sweep(8_000_000_000, 30).unwrap().bundles, 1);
    assert_eq!(vault.get(digest).unwrap(), None);
}

#[test]
fn folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = || FolderObjects::open(folder.path().join("x"), Access::Public).unwrap();
    suite(&open());
    assert_eq!(open().list(&name("tile/0")).unwrap().len(), 40);
    vault_suite(Arc::new(open()));
    race(&open(), 50);
    replaced_whole(&open());
    // A folder stands where the object would be: it is told, and nothing is lost.
    assert!(open().replace(&object("tile/0", b"x")).is_err());
    assert_eq!(open().list(&name("tile/0")).unwrap().len(), 40);
}

#[test]
fn of_many_threads_that_create_one_name_one_wins() {
    let server = Server::start();
    race(&S3Objects::open(&server.config("log")).unwrap(), 30);
}

#[test]
fn whoever_only_reads_writes_nothing() {
    let server = Server::start();
    let objects = S3Objects::open_to_read(&server.config("log")).unwrap();
    assert_eq!(objects.get(&name("checkpoint"), 10).unwrap(), None);
    assert_eq!(objects.list(&name("tile")).unwrap(), []);
    assert_eq!(std::fs::read_dir(server.folder()).unwrap().count(), 0);
}

#[test]
fn s3() {
    let server = Server::start();
    for prefix in ["", "a/log"] {
        let open = || S3Objects::open(&server.config(prefix)).unwrap();
        suite(&open());
        // Opening again, now that the probe is there; and what was stored still is.
        assert_eq!(open().list(&name("tile/0")).unwrap().len(), 40);
        vault_suite(Arc::new(open()));
    }
}

#[test]
fn s3_works_on_a_thread_of_another_runtime() {
    let server = Server::start();
    let config = server.config("");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async move {
        let objects = S3Objects::open(&config).unwrap();
        objects.create(&[object("a", b"1")]).unwrap();
        drop(objects);
    });
}

#[test]
fn s3_says_why_it_will_not_do() {
    let server = Server::start();
    let mut wrong = server.config("");
    wrong.secret_access_key = "another".to_owned().into();
    let refused = S3Objects::open(&wrong).unwrap_err();
    assert!(matches!(refused, StoreError::Denied { .. }), "{refused:?}");
    let mut plain = server.config("");
    plain.endpoint = "http://example.org".to_owned();
    let refused = S3Objects::open(&plain).unwrap_err();
    assert!(format!("{refused:?}").contains("Plain"), "{refused:?}");
}
