//! `pull`: a catalogue of one's own, whose file lies here. Servers, wheels and cut-off downloads are tested in `credence-hub`.

use crate::language::tiny;
use crate::shared::{Place, names};

const SHA256_LEN: usize = 64;

/// A catalogue with the tiny model.
fn catalogue(id: &str, sha256: &str, version: u32) -> String {
    let file = tiny();
    let size = file.metadata().unwrap().len();
    let path = file.display();
    format!(
        "version = 1\n[[model]]\nname = \"tiny\"\nabout = \"two blocks\"\nlicence = \"MIT\"\nformat = \"gguf\"\n\
         size_bytes = {size}\nsha256 = \"{sha256}\"\nimporter_version = {version}\nmodel_id = \"{id}\"\n\
         [[model.source]]\nkind = \"file\"\npath = \"{path}\"\n"
    )
}

/// The id and the SHA-256 of the tiny model, as an import says them.
fn known(place: &Place) -> (String, String) {
    let home = place.path("other");
    let file = tiny();
    let import = ["model", "import", file.to_str().unwrap(), "--name", "x"];
    place.run_at(&home, &import).expect(0);
    let show = place.run_at(&home, &["model", "show", "x", "--json"]);
    let show = show.expect(0).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (
        text(&show["id"]),
        text(&show["provenance"]["source.sha256"]),
    )
}

#[test]
fn what_is_pinned_is_fetched_imported_and_kept() {
    let place = Place::new();
    let own = place.path("home");
    let (id, sha256) = known(&place);
    place.write("c.toml", catalogue(&id, &sha256, 1).as_bytes());
    let pull = ["pull", "tiny", "--catalogue", "c.toml", "--json"];
    let done = place.run_at(&own, &pull).expect(0);
    let done = done.json_of("cli-model-import");
    assert_eq!((&done["id"], &done["name"]), (&id.into(), &"tiny".into()));
    assert!(done["language_fidelity"].is_object());
    let kept = names(&own.join("models"));
    // A second time nothing is fetched or imported; another name is given.
    let again = [&pull[..], &["--name", "small"]].concat();
    let done = place.run_at(&own, &again).expect(0);
    let done = done.json_of("cli-model-import");
    assert!(done["language_fidelity"].is_null() && done["kept"] == true);
    assert_eq!(names(&own.join("models")), kept);
    place.run_at(&own, &["model", "show", "small"]).expect(0);
    assert!(tiny().exists(), "the source's own file stays");
}

#[test]
fn another_file_or_model_than_pinned_is_not_kept() {
    let place = Place::new();
    let own = place.path("home");
    let (id, sha256) = known(&place);
    let zeros = "0".repeat(SHA256_LEN);
    let pull = ["pull", "tiny", "--catalogue", "c.toml"];
    place.write("c.toml", catalogue(&id, &zeros, 1).as_bytes());
    let refused = place.run_at(&own, &pull).expect(7);
    refused.says(&sha256).says("hint: ");
    for (version, hint) in [
        (credence_import::IMPORTER_VERSION, "report this"),
        (9, "that importer"),
    ] {
        place.write("c.toml", catalogue(&zeros, &sha256, version).as_bytes());
        let refused = place.run_at(&own, &pull).expect(5);
        refused.says("importer version").says(&id).says(hint);
    }
    assert!(!own.join("models").exists());
}

#[test]
fn catalogues_and_names_that_are_wrong_are_refused() {
    let place = Place::new();
    let own = place.path("home");
    let list = place.run_at(&own, &["pull", "--list", "--json"]).expect(0);
    let list = list.json_of("cli-pull-list");
    assert_eq!(list["models"][0]["name"], "smollm2-135m");
    place.run_at(&own, &["pull"]).expect_usage();
    place
        .run_at(&own, &["pull", "absent"])
        .expect(7)
        .says("`absent`");
    place.write("bad.toml", b"version = 1\nmodel = 3\n");
    place
        .run_at(&own, &["pull", "x", "--catalogue", "bad.toml"])
        .expect(3)
        .says("`bad.toml`");
    place
        .run_at(&own, &["pull", "x", "--catalogue", "absent.toml"])
        .expect(9);
    // No Python: the remedy is said, and nothing is left.
    let missing = ["pull", "smollm2-135m", "--python", "no-such-python"];
    place
        .run_at(&own, &missing)
        .expect(7)
        .says("no-such-python")
        .says("hint: ");
    assert!(!own.join("models").exists());
}
