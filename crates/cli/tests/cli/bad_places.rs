//! Disks that are full and places that cannot be written: one clear error, and nothing half-written.

use std::path::Path;
use std::process::Command;

use crate::shared::{Done, Place, credence, four_digits, home, honest, names, shipped};

#[test]
fn a_full_disk_under_the_receipt() {
    let place = Place::new();
    place.write("x.json", four_digits().as_bytes());
    let arguments = ["run", "cnn", "--input", "x.json", "--receipt", "/dev/full"];
    place.run(&arguments).expect(9).says("no space is left");
    assert_eq!(place.names(), ["x.json"]);
}

#[test]
fn a_full_disk_under_standard_output() {
    let place = Place::new();
    let bundle = place.write("b.json", honest());
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = credence(home(), place.folder.path())
        .args(["verify", bundle])
        .stdout(full)
        .output();
    Done::from(output.unwrap())
        .expect(9)
        .says("standard output cannot be written");
}

/// The binary under a limit on the size of files, which fails a write half-way as a full disk does.
fn with_little_room(place: &Place, own: &Path, blocks: u32, arguments: &[&str]) -> Done {
    let binary = env!("CARGO_BIN_EXE_credence");
    // The signal must be ignored for the write to fail instead of ending the process.
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script, binary])
        .args(arguments)
        .env_clear()
        .env("CREDENCE_HOME", own)
        .current_dir(place.folder.path())
        .output();
    output.unwrap().into()
}

#[test]
fn a_disk_that_fills_up_while_a_receipt_is_written() {
    let place = Place::new();
    place.write("x.json", four_digits().as_bytes());
    place.write("out.json", b"old");
    let arguments = ["run", "cnn", "--input", "x.json", "--receipt", "out.json"];
    with_little_room(&place, home(), 1, &arguments)
        .expect(9)
        .says("no space is left");
    assert_eq!(place.names(), ["out.json", "x.json"]);
    assert_eq!(std::fs::read(place.path("out.json")).unwrap(), b"old");
}

#[test]
fn a_disk_that_fills_up_while_a_model_is_written() {
    let place = Place::new();
    let own = place.path("home");
    let (onnx, calibrate) = (
        shipped("digits-cnn.onnx"),
        shipped("digits-cnn.calibrate.npz"),
    );
    let import = [
        "model",
        "import",
        onnx.to_str().unwrap(),
        "--calibrate",
        calibrate.to_str().unwrap(),
    ];
    with_little_room(&place, &own, 8, &import)
        .expect(9)
        .says("no space is left");
    assert_eq!(names(&own.join("models")), ["names.lock"]);
    let listed = place.run_at(&own, &["model", "list"]).expect(0);
    assert!(listed.out.is_empty());
}

#[test]
fn a_disk_that_is_full_when_the_key_is_made() {
    let place = Place::new();
    let own = place.path("home");
    with_little_room(&place, &own, 0, &["key", "show"])
        .expect(9)
        .says("no space is left");
    assert_eq!(names(&own.join("keys")), Vec::<String>::new());
}

#[test]
fn places_that_cannot_be_written() {
    let place = Place::new();
    place.write("x.json", four_digits().as_bytes());
    // No folder can be made there, whoever asks.
    let nowhere = Path::new("/proc/self/nowhere");
    place
        .run_at(nowhere, &["key", "show"])
        .expect(9)
        .says("/proc/self/nowhere");
    let below_a_file = place.path("x.json").join("home");
    place
        .run_at(&below_a_file, &["key", "show"])
        .expect(9)
        .says("x.json");
    let arguments = [
        "run",
        "cnn",
        "--input",
        "x.json",
        "--receipt",
        "absent/out.json",
    ];
    place.run(&arguments).expect(9).says("`absent/out.json`");
    let arguments = ["run", "cnn", "--input", "x.json", "--receipt", "."];
    place.run(&arguments).expect(9).says("is a folder");
    assert_eq!(place.names(), ["x.json"]);
}

#[test]
fn a_folder_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.write("x.json", four_digits().as_bytes());
    let folder = place.path("locked");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
    let arguments = [
        "run",
        "cnn",
        "--input",
        "x.json",
        "--receipt",
        "locked/out.json",
    ];
    as_anyone(&place, &arguments)
        .expect(9)
        .says("permission denied");
    assert_eq!(names(&folder), Vec::<String>::new());
}

/// The binary without root's right to pass over permissions, whoever runs the tests.
fn as_anyone(place: &Place, arguments: &[&str]) -> Done {
    let without = ["--bounding-set", "-dac_override,-dac_read_search", "--"];
    let root = std::fs::metadata("/proc/self").unwrap();
    let mut command = if std::os::unix::fs::MetadataExt::uid(&root) == 0 {
        let mut command = Command::new("setpriv");
        command.args(without).arg(env!("CARGO_BIN_EXE_credence"));
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_credence"))
    };
    let output = command
        .args(arguments)
        .env("CREDENCE_HOME", home())
        .current_dir(place.folder.path())
        .output();
    output.unwrap().into()
}

#[test]
fn a_file_system_that_takes_no_writes() {
    let place = Place::new();
    place.write("x.json", four_digits().as_bytes());
    let folder = place.path("mounted");
    std::fs::create_dir(&folder).unwrap();
    // A namespace of its own in which the folder is a read-only file system: for root, and where users may make one.
    let mount = "mount -t tmpfs -o ro none mounted && exec \"$0\" \"$@\"";
    let inside = |arguments: &[&str]| {
        Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", mount])
            .args(arguments)
            .env("CREDENCE_HOME", home())
            .current_dir(place.folder.path())
            .output()
    };
    if !inside(&["true"]).is_ok_and(|output| output.status.success()) {
        println!("not tried: this system lets no one make a namespace");
        return;
    }
    let binary = env!("CARGO_BIN_EXE_credence");
    let receipt = ["--receipt", "mounted/out.json"];
    let run = [&[binary, "run", "cnn", "--input", "x.json"], &receipt[..]].concat();
    let own = ["--home", "mounted/home"];
    for command in [run, [&[binary, "key", "show"], &own[..]].concat()] {
        let done: Done = inside(&command).unwrap().into();
        done.expect(9).says("the file system is read-only");
    }
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn a_disk_that_fills_up_under_the_demo_and_under_a_new_key() {
    let place = Place::new();
    let own = place.path("home");
    with_little_room(&place, &own, 8, &["demo"])
        .expect(9)
        .says("no space is left");
    assert_eq!(place.names(), Vec::<String>::new());
    place.run_at(&own, &["key", "show"]).expect(0);
    let key = std::fs::read(own.join("keys/operator.pem")).unwrap();
    let rotate = ["key", "rotate", "--no-log", "--out", "rotated.json"];
    with_little_room(&place, &own, 0, &rotate)
        .expect(9)
        .says("no space is left");
    assert_eq!(std::fs::read(own.join("keys/operator.pem")).unwrap(), key);
    assert!(!place.path("rotated.json").exists());
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let own = place.path("home");
    place.run_at(&own, &["key", "show"]).expect(0);
    let key = own.join("keys/operator.pem");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    place
        .run_at(&own, &["key", "show"])
        .expect(3)
        .says("expected mode 0600, got 0644");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&key, "hello").unwrap();
    place
        .run_at(&own, &["key", "show"])
        .expect(3)
        .says("does not hold a key");
}
