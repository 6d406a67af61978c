//! Audits: a log that is right, and the first thing that is wrong with one that is not.

use std::path::Path;
use std::sync::Arc;

use credence_log::{Checkpoint, TileId};
use credence_watch::audit::AuditError;
use credence_watch::{AuditReport, FolderSource, LogFile, audit};

use crate::shared::{History, log_key, log_signer};

fn audited(folder: &Path) -> Result<AuditReport, AuditError> {
    audit(&FolderSource::open(folder).unwrap(), &log_key(), |_| true)
}

#[test]
fn a_log_that_is_right_is_reported_so() {
    let history = History::new(1030, 0, 0);
    for size in [0, 1, 255, 256, 257, 512, 1030] {
        let dir = tempfile::tempdir().unwrap();
        history.write(dir.path(), size);
        std::fs::create_dir_all(dir.path().join("tile")).unwrap();
        let report = audited(dir.path()).unwrap();
        assert_eq!(report.entries, size);
        assert_eq!(
            report.root,
            history.checkpoint(size).unverified().root().to_string()
        );
    }
    let dir = tempfile::tempdir().unwrap();
    history.write_numbered(dir.path(), &[0, 1, 1, 255, 256, 256, 300, 1024, 1030]);
    let report = audited(dir.path()).unwrap();
    assert_eq!(
        (report.entries, report.checkpoints, report.newer),
        (1030, 9, 0)
    );
    // Full tiles of level 0 and the one that is not, and the one above.
    assert_eq!(report.tiles, 6);
    let mut told = Vec::new();
    let stopped = audit(
        &FolderSource::open(dir.path()).unwrap(),
        &log_key(),
        |progress| {
            told.push(progress.done);
            told.len() < 3
        },
    );
    assert!(matches!(stopped, Err(AuditError::Stopped { done: 768 })));
    assert_eq!(told, [256, 512, 768]);
}

#[test]
fn every_spoilt_file_is_named() {
    let history = History::new(600, 0, 0);
    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 4;
        std::fs::write(path, bytes).unwrap();
    };
    let spoil = |what: &str, at: usize| {
        let dir = tempfile::tempdir().unwrap();
        history.write(dir.path(), 600);
        flip(&dir.path().join(what), at);
        audited(dir.path()).unwrap_err()
    };
    // An entry: the tile leads to the checkpoint, so the bundle is wrong.
    for (bundle, at, index) in [
        ("000", 2, 0),
        ("001", 34 * 9 + 5, 265),
        ("002.p/88", 33, 512),
    ] {
        let error = spoil(&format!("tile/entries/{bundle}"), at);
        assert!(
            matches!(&error, AuditError::Entry { index: found, .. } if *found == index),
            "{error}"
        );
    }
    // A leaf: the tile does not lead to the checkpoint.
    for (tile, at) in [
        ("0/000", 32 * 7),
        ("0/001", 8191),
        ("0/002.p/88", 32 * 7 + 3),
    ] {
        let error = spoil(&format!("tile/{tile}"), at);
        let AuditError::TileHash {
            path, at: place, ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (path.as_str(), *place),
            (format!("tile/{tile}").as_str(), at / 32)
        );
    }
    let error = spoil("tile/1/000.p/2", 40);
    assert!(
        matches!(&error, AuditError::TileHash { path, at: 1, .. } if path == "tile/1/000.p/2"),
        "{error}"
    );
    // The length of an entry; the checkpoint's root, and its signature.
    assert!(matches!(spoil("tile/entries/001", 1), AuditError::File(_)));
    assert!(matches!(spoil("checkpoint", 30), AuditError::Head(_)));
    for path in [
        "tile/0/001",
        "tile/entries/000",
        "tile/1/000.p/2",
        "checkpoint",
    ] {
        let dir = tempfile::tempdir().unwrap();
        history.write(dir.path(), 600);
        std::fs::remove_file(dir.path().join(path)).unwrap();
        let error = audited(dir.path()).unwrap_err();
        assert!(
            matches!(error, AuditError::File(_) | AuditError::Head(_)),
            "{error}"
        );
    }
}

#[test]
fn a_checkpoint_that_no_file_agrees_with_is_named() {
    let (history, fork) = (History::new(600, 0, 0), History::new(600, 590, 1));
    let dir = tempfile::tempdir().unwrap();
    history.write(dir.path(), 600);
    std::fs::write(dir.path().join("checkpoint"), fork.checkpoint(600).encode()).unwrap();
    assert!(matches!(
        audited(dir.path()),
        Err(AuditError::Root { size: 600, .. })
    ));

    let numbered = |number: &str, text: String| {
        let dir = tempfile::tempdir().unwrap();
        history.write_numbered(dir.path(), &[100, 300, 595, 600]);
        std::fs::write(
            dir.path().join("log/checkpoints/000/000").join(number),
            text,
        )
        .unwrap();
        audited(dir.path()).unwrap_err()
    };
    let error = numbered("001/001", fork.checkpoint(595).encode());
    assert!(
        matches!(
            error,
            AuditError::CheckpointRoot {
                number: 1001,
                size: 595,
                ..
            }
        ),
        "{error}"
    );
    let error = numbered("001/000", history.checkpoint(50).encode());
    assert!(
        matches!(
            error,
            AuditError::CheckpointOrder {
                number: 1000,
                before: 100,
                got: 50
            }
        ),
        "{error}"
    );
    let other = crate::shared::signer("log.example/receipts", 9);
    let root = *history.checkpoint(300).unverified().root();
    let forged = Checkpoint::new(other.verifier().name(), 300, root)
        .unwrap()
        .sign(&other)
        .unwrap();
    assert!(matches!(
        numbered("001/000", forged.encode()),
        AuditError::Checkpoint { number: 1000, .. }
    ));
    let signed = Checkpoint::new(log_signer().verifier().name(), 300, root)
        .unwrap()
        .sign(&log_signer())
        .unwrap();
    assert_eq!(signed, *history.checkpoint(300));
}

#[test]
fn an_audit_over_http_finds_the_same() {
    let history = History::new(600, 0, 0);
    let dir = tempfile::tempdir().unwrap();
    history.write(dir.path(), 600);
    let server = crate::serves::Served::new(Arc::new(FolderSource::open(dir.path()).unwrap()));
    let report = audit(&server.source(), &log_key(), |_| true).unwrap();
    assert_eq!(report.entries, 600);
    let id = TileId::new(0, 1, 256).unwrap();
    std::fs::write(dir.path().join(LogFile::Tile(id).path()), [7; 8192]).unwrap();
    // Our own server does not hand it out; what another one hands out is found as in a folder.
    let error = audit(&server.source(), &log_key(), |_| true).unwrap_err();
    let said = credence_witness::server::chain_of(&error);
    assert!(said.contains("500") && said.contains("/001`"), "{said}");
}
