//! The static server: what a log's readers may ask for, how long it may be kept, and nothing else.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use credence_log::entry::EntriesId;
use credence_log::{Checkpoint, TileId};
use credence_store::file::Access;
use credence_store::objects::FolderObjects;
use credence_watch::{
    FolderSource, HttpSource, LogFile, LogSource, ObjectsSource, Place, audit, run_log_server,
    serve,
};
use credence_witness::fetch::Prefix;
use credence_witness::{Limits, listen};

use crate::shared::{History, log_key};

/// A server that runs until it is dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    pub(crate) fn new(source: Arc<dyn LogSource>) -> Self {
        Self::router(serve::router(source, log_key()))
    }

    pub(crate) fn router(router: axum::Router) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let stop = std::future::pending::<()>();
        runtime.spawn(listen::serve(listener, router, Limits::usual(), stop));
        Self {
            address,
            _runtime: runtime,
        }
    }

    pub(crate) fn prefix(&self) -> Prefix {
        Prefix::new(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) fn source(&self) -> HttpSource {
        HttpSource::new(self.prefix())
    }
}

/// The answer to these bytes, as they are.
fn raw(address: SocketAddr, head: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let request = format!("{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[test]
fn only_the_logs_files_are_served() {
    let history = History::new(600, 0, 0);
    let dir = tempfile::tempdir().unwrap();
    history.write(dir.path(), 600);
    for secret in [
        "key.pem",
        "index.sqlite",
        "lock",
        "tile/secret",
        "record/000",
    ] {
        let path = dir.path().join(secret);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"secret").unwrap();
    }
    let server = Served::new(Arc::new(FolderSource::open(dir.path()).unwrap()));
    for (path, kept) in [
        ("/checkpoint", "no-store"),
        ("/tile/0/000", "public, max-age=31536000, immutable"),
        ("/tile/0/002.p/88", "public, max-age=31536000, immutable"),
        ("/tile/entries/001", "public, max-age=31536000, immutable"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = raw(server.address, &format!("{method} {path}"));
            assert!(answer.starts_with("http/1.1 200"), "{answer}");
            assert!(
                answer.contains(&format!("cache-control: {kept}\r\n")),
                "{answer}"
            );
        }
    }
    for path in [
        "/key.pem",
        "/index.sqlite",
        "/lock",
        "/tile/secret",
        "/record/000",
        "/",
        "/tile",
        "/tile/0/../../key.pem",
        "/../key.pem",
        "/%2e%2e/key.pem",
        "/tile/0/..%2f..%2fkey.pem",
        "//checkpoint",
        "/checkpoint/",
        "/tile/0/%30%30%30",
        "/tile/0/000.p/256",
        "/tile/0/0000",
        "/tile/8/000",
        "/tile/0/999",
        "/tile/entries/000.p/0",
    ] {
        let answer = raw(server.address, &format!("GET {path}"));
        assert!(answer.starts_with("http/1.1 404"), "{path}: {answer}");
        assert!(
            !answer.contains("secret") && answer.contains("no-store"),
            "{path}: {answer}"
        );
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = raw(server.address, &format!("{method} /checkpoint"));
        assert!(answer.starts_with("http/1.1 405"), "{answer}");
    }
    let source = server.source();
    assert_eq!(
        source.read(LogFile::Checkpoint).unwrap(),
        history.file(LogFile::Checkpoint, 600)
    );
}

#[test]
fn a_server_runs_until_it_is_told_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    History::new(5, 0, 0).write_numbered(dir.path(), &[3, 5]);
    let (told, address) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let folder = dir.path().to_owned();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listening = Arc::new(move |address| told.send(address).unwrap());
        runtime.block_on(run_log_server(
            &Place::Folder(folder),
            log_key(),
            "127.0.0.1:0".parse().unwrap(),
            listening,
            async { drop(stopped.await) },
        ))
    });
    let address = address.recv().unwrap();
    let answer = raw(address, "GET /checkpoint");
    assert!(answer.contains("log.example/receipts\n5\n"), "{answer}");
    stop.send(()).unwrap();
    thread.join().unwrap().unwrap();
    assert!(FolderSource::open(&dir.path().join("nothing")).is_err());
}

#[test]
fn a_damaged_file_is_not_handed_out_to_be_kept_for_ever() {
    let history = History::new(600, 0, 0);
    let dir = tempfile::tempdir().unwrap();
    history.write(dir.path(), 600);
    let server = Served::new(Arc::new(FolderSource::open(dir.path()).unwrap()));
    let ask = |path: &str| raw(server.address, &format!("GET /{path}"));
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[40] ^= 1;
        bytes
    };
    type Damage<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let other = crate::shared::signer("log.example/receipts", 9);
    let forge = |_: &[u8]| {
        let root = *history.checkpoint(600).unverified().root();
        let forged = Checkpoint::new(other.verifier().name(), 600, root).unwrap();
        forged.sign(&other).unwrap().encode().into_bytes()
    };
    let cases: [(&str, Damage<'_>); 11] = [
        ("tile/0/000", &cut),
        ("tile/0/000", &flip),
        ("tile/0/002.p/88", &cut),
        ("tile/1/000.p/2", &cut),
        ("tile/entries/000", &cut),
        ("tile/entries/001", &flip),
        ("tile/entries/002.p/88", &flip),
        ("tile/0/002.p/88", &flip),
        ("tile/1/000.p/2", &flip),
        ("checkpoint", &forge),
        ("checkpoint", &|_| Vec::new()),
    ];
    for (path, damage) in cases {
        assert!(ask(path).starts_with("http/1.1 200"), "{path}");
        let whole = std::fs::read(dir.path().join(path)).unwrap();
        std::fs::write(dir.path().join(path), damage(&whole)).unwrap();
        let answer = ask(path);
        assert!(answer.starts_with("http/1.1 500"), "{path}: {answer}");
        assert!(
            answer.contains("no-store") && answer.contains(path),
            "{path}: {answer}"
        );
        std::fs::write(dir.path().join(path), &whole).unwrap();
        assert!(ask(path).starts_with("http/1.1 200"), "{path}");
    }
}

#[test]
fn what_nothing_shows_right_is_not_handed_out() {
    let history = History::new(600, 0, 0);
    let dir = tempfile::tempdir().unwrap();
    history.write(dir.path(), 600);
    // No cache here: each asks a server that knows nothing yet.
    let ask = |path: &str| {
        let server = Served::new(Arc::new(FolderSource::open(dir.path()).unwrap()));
        raw(server.address, &format!("GET /{path}"))
    };
    for (damaged, path) in [
        ("tile/1/000.p/2", "tile/0/000"),
        ("tile/1/000.p/2", "tile/entries/001"),
        ("tile/0/002.p/88", "tile/0/001"),
    ] {
        let file = dir.path().join(damaged);
        let whole = std::fs::read(&file).unwrap();
        assert!(ask(path).starts_with("http/1.1 200"), "{path}");
        let mut flipped = whole.clone();
        flipped[40] ^= 1;
        for bytes in [Some(&flipped), None] {
            match bytes {
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            let answer = ask(path);
            assert!(answer.starts_with("http/1.1 500"), "{path}: {answer}");
            assert!(!answer.contains("immutable"), "{path}: {answer}");
        }
        std::fs::write(&file, whole).unwrap();
    }
    // A file that no checkpoint covers yet is not there yet, and an older partial one is the beginning of the newer.
    let put = |path: String, bytes: Vec<u8>| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let tile = |width| LogFile::Tile(TileId::new(0, 2, width).unwrap());
    let older = history.file(tile(50), 600).unwrap();
    put(tile(50).path(), older.clone());
    put(tile(90).path(), [&older[..], &older[..40 * 32]].concat());
    assert!(ask("tile/0/002.p/50").starts_with("http/1.1 200"));
    assert!(ask("tile/0/002.p/90").starts_with("http/1.1 404"));
    let mut flipped = older;
    flipped[0] ^= 1;
    put(tile(50).path(), flipped);
    assert!(ask("tile/0/002.p/50").starts_with("http/1.1 500"));
}

#[test]
fn a_log_in_an_object_store_is_read_audited_and_served() {
    let history = History::new(600, 0, 0);
    let dir = tempfile::tempdir().unwrap();
    history.write_numbered(dir.path(), &[100, 595]);
    let log = dir.path().join("log");
    let open = || {
        let objects = FolderObjects::open(log.clone(), Access::Public).unwrap();
        ObjectsSource::new(Arc::new(objects))
    };
    let newest = |source: &dyn LogSource| source.read(LogFile::Checkpoint).unwrap();
    // Numbered alone; then with one under its own name that is late, cosigned, and the newest.
    let of = |size: u64| Some(history.checkpoint(size).encode().into_bytes());
    assert_eq!(newest(&open()), of(595));
    for named in [100, 595] {
        std::fs::write(log.join("checkpoint"), of(named).unwrap()).unwrap();
        assert_eq!(newest(&open()), of(595));
        assert_eq!(newest(&FolderSource::open(dir.path()).unwrap()), of(595));
    }
    for id in TileId::added(595, 600) {
        let file = LogFile::Tile(id);
        let path = log.join(file.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, history.file(file, 600).unwrap()).unwrap();
    }
    for id in EntriesId::added(595, 600) {
        let file = LogFile::Entries(id);
        let path = log.join(file.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, history.file(file, 600).unwrap()).unwrap();
    }
    std::fs::write(log.join("checkpoint"), of(600).unwrap()).unwrap();
    assert_eq!(newest(&open()), of(600));
    let report = audit(&open(), &log_key(), |_| true).unwrap();
    assert_eq!((report.entries, report.checkpoints), (600, 2));
    let server = Served::new(Arc::new(open()));
    assert_eq!(newest(&server.source()), of(600));
    let report = audit(&server.source(), &log_key(), |_| true).unwrap();
    assert_eq!(report.entries, 600);
    // As logs were kept before.
    std::fs::remove_file(log.join("checkpoint")).unwrap();
    std::fs::rename(log.join("checkpoints"), log.join("checkpoint")).unwrap();
    for source in [
        &open() as &dyn LogSource,
        &FolderSource::open(dir.path()).unwrap(),
    ] {
        assert_eq!(newest(source), of(595));
        let report = audit(source, &log_key(), |_| true).unwrap();
        assert_eq!((report.entries, report.checkpoints), (595, 2));
    }
}

#[test]
fn a_place_is_an_address_a_bucket_or_a_folder() {
    let parse = |text: &str| Place::parse(text, std::path::Path::new("/etc")).unwrap();
    assert!(matches!(parse("https://log.example"), Place::Http(_)));
    assert_eq!(parse("s3:b.toml"), Place::S3("/etc/b.toml".into()));
    assert_eq!(parse("x/log"), Place::Folder("/etc/x/log".into()));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b.toml");
    let write = |text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let open = || Place::S3(file.clone()).open().map(|_| ());
    assert!(open().is_err());
    let good = "endpoint = \"http://127.0.0.1:1\"\nregion = \"r\"\nbucket = \"b\"\naccess_key_id = \"i\"\nsecret_access_key = \"hush\"\n";
    write(good);
    open().unwrap();
    for bad in [
        "",
        "x",
        &good.replace("bucket", "buckets"),
        &good.replace("\"hush\"", "\"hush"),
    ] {
        write(bad);
        let error = open().unwrap_err();
        let said = credence_witness::server::chain_of(&error);
        assert!(!said.contains("hush"), "{said}");
    }
}
