//! One home with a model in it, honest bundles, and the binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use serde_json::Value;
use tempfile::TempDir;

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Done {
    /// Fails the test unless the code is `code`, and, when it is not 0, unless there is exactly one error and no panic.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let errors = self.err.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), usize::from(code != 0), "{self:#?}");
        assert!(!self.err.contains("panicked"), "{self:#?}");
        self
    }

    /// Fails the test unless the error says `text`.
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "`{text}` is not in {self:#?}");
        self
    }

    /// The JSON on standard output, which is one line.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:#?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// The JSON on standard output, which fits the schema of that name.
    pub(crate) fn json_of(&self, schema: &str) -> Value {
        let json = self.json();
        fits(schema, &json);
        json
    }

    /// The JSON on standard output, each line of which fits the schema of that name.
    pub(crate) fn lines_of(&self, schema: &str) -> Vec<Value> {
        self.out.lines().map(|line| line_of(schema, line)).collect()
    }
}

/// Fails the test unless a value fits the schema of that name.
pub(crate) fn fits(schema: &str, json: &Value) {
    let path = repository().join(format!("schemas/{schema}.v1.json"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    credence_testkit::schema::fits(&schema, json).unwrap();
}

/// A line of JSON, which fits the schema of that name.
pub(crate) fn line_of(schema: &str, line: &str) -> Value {
    let json = serde_json::from_str(line).unwrap();
    fits(schema, &json);
    json
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn shipped(name: &str) -> PathBuf {
    repository().join("models").join(name)
}

/// The binary with a home of its own, an environment that says nothing, and a folder to be in.
pub(crate) fn credence(home: &Path, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_credence"));
    command.env_clear().env("CREDENCE_HOME", home);
    command.env("TMPDIR", folder).current_dir(folder);
    command
}

/// A folder for one test, with the shared home.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the binary in this folder with the shared home.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.run_at(home(), arguments)
    }

    /// Runs the binary in this folder with another home.
    pub(crate) fn run_at(&self, home: &Path, arguments: &[&str]) -> Done {
        let output = credence(home, self.folder.path()).args(arguments).output();
        output.unwrap().into()
    }

    /// Writes a file into this folder and gives its name.
    pub(crate) fn write<'a>(&self, name: &'a str, bytes: &[u8]) -> &'a str {
        std::fs::write(self.path(name), bytes).unwrap();
        name
    }

    /// The names of what is in this folder.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A home with the digits CNN in it, called `cnn`, and a key. Made once, and changed by no test.
pub(crate) fn home() -> &'static Path {
    static HOME: OnceLock<TempDir> = OnceLock::new();
    HOME.get_or_init(|| {
        let home = tempfile::tempdir().unwrap();
        let place = Place::new();
        let (model, inputs) = (
            shipped("digits-cnn.onnx"),
            shipped("digits-cnn.calibrate.npz"),
        );
        let arguments = [
            "model",
            "import",
            model.to_str().unwrap(),
            "--calibrate",
            inputs.to_str().unwrap(),
            "--name",
            "cnn",
        ];
        place.run_at(home.path(), &arguments).expect(0);
        place.run_at(home.path(), &["key", "show"]).expect(0);
        home
    })
    .path()
}

/// The file of the model called `cnn`.
pub(crate) fn model_file() -> PathBuf {
    let folder = home().join("models");
    let name = names(&folder)
        .into_iter()
        .find(|name| name.ends_with(".safetensors"));
    folder.join(name.unwrap())
}

/// The bytes of an honest bundle over four of the held-out digits, made once, with a nonce of `5a`.
pub(crate) fn honest() -> &'static [u8] {
    static BUNDLE: OnceLock<Vec<u8>> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let place = Place::new();
        place.write("x.json", four_digits().as_bytes());
        let nonce = "5a".repeat(32);
        let arguments = [
            "run",
            "cnn",
            "--input",
            "x.json",
            "--receipt",
            "out.bundle.json",
            "--nonce",
            &nonce,
        ];
        place.run(&arguments).expect(0);
        std::fs::read(place.path("out.bundle.json")).unwrap()
    })
}

/// A request of four digits: strokes of different places.
pub(crate) fn four_digits() -> String {
    let pixels: Vec<String> = (0..4 * 64)
        .map(|at| format!("{}", f64::from((at * 7 + at / 64 * 3) % 17) / 16.0))
        .collect();
    format!(
        r#"{{"inputs":[{{"name":"image","shape":[4,1,8,8],"datatype":"FP32","data":[{}]}}]}}"#,
        pixels.join(",")
    )
}

pub(crate) fn bundle() -> Bundle {
    Bundle::decode(honest(), BUNDLE_LEN_MAX).unwrap()
}

impl Done {
    /// Fails the test unless the command line was refused.
    pub(crate) fn expect_usage(self) -> Self {
        assert_eq!(self.code, Some(2), "{self:#?}");
        assert!(self.err.starts_with("error: "), "{self:#?}");
        self
    }
}
