//! Models put, found, loaded and removed; files that were changed under the hub.

use credence_exact::{Dtype, Input, NodeId, Op};
use credence_model::{BorderType, Decode, Encode, InputSpec, NodeSpec, OutputSpec, ProgramSpec};

use super::*;

/// The smallest models: each passes one integer through, up to `max`.
fn model(max: i32) -> Model {
    let spec = ProgramSpec {
        profile: "exact-1".to_owned(),
        inputs: vec![InputSpec {
            name: "x".to_owned(),
            dtype: BorderType::Int64,
            shape: vec![1],
            encode: Encode::Integer { min: 0, max },
        }],
        params: vec![],
        nodes: vec![NodeSpec {
            name: "x".to_owned(),
            op: Op::Input(Input { index: 0 }),
            dtype: Dtype::I32,
            cut: true,
        }],
        outputs: vec![OutputSpec {
            name: "y".to_owned(),
            node: NodeId(0),
            decode: Decode::Integer {},
        }],
        language: None,
    };
    Model::new(spec, vec![]).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn provenance() -> Provenance {
    Provenance::from([("importer".to_owned(), "test".to_owned())])
}

struct Fixture {
    _folder: tempfile::TempDir,
    hub: Hub,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::at(folder.path().join("models"));
    Fixture {
        _folder: folder,
        hub,
    }
}

#[test]
fn a_model_is_found_by_name_id_and_beginning() {
    let Fixture { _folder, hub } = fixture();
    assert_eq!(hub.list().unwrap(), []);
    let (a, b) = (model(1), model(2));
    hub.put(&a, &provenance(), &name("one")).unwrap();
    hub.put(&a, &provenance(), &name("uno")).unwrap();
    hub.put(&b, &provenance(), &name("two")).unwrap();
    let digits = a.id().to_string();
    for text in ["one", "uno", &digits, &digits[..8], &digits[..63]] {
        assert_eq!(hub.find(text).unwrap(), a.id(), "{text}");
    }
    let loaded = hub.load(a.id()).unwrap();
    assert_eq!(
        (loaded.model.id(), loaded.provenance),
        (a.id(), provenance())
    );
    let mut listed = hub.list().unwrap();
    listed.sort_by_key(|entry| entry.names.len());
    assert_eq!(listed[1].names, [name("one"), name("uno")]);
    assert_eq!(listed[0].names, [name("two")]);
    assert!(listed.iter().all(|entry| entry.size_bytes > Some(0)));
}

#[test]
fn what_is_not_there_is_not_found_and_makes_no_folder() {
    let Fixture { _folder, hub } = fixture();
    assert!(matches!(hub.find("none"), Err(HubError::Unknown { .. })));
    assert!(matches!(
        hub.find("deadbeef"),
        Err(HubError::Unknown { .. })
    ));
    assert!(matches!(hub.find("A b"), Err(HubError::Query { .. })));
    assert!(matches!(
        hub.load(model(1).id()),
        Err(HubError::Absent { .. })
    ));
    assert!(hub.remove("none").is_err());
    assert!(!hub.folder.exists());
}

#[test]
fn a_name_stands_for_one_model() {
    let Fixture { _folder, hub } = fixture();
    hub.put(&model(1), &provenance(), &name("one")).unwrap();
    let taken = hub.put(&model(2), &provenance(), &name("one"));
    assert!(
        matches!(taken, Err(HubError::NameTaken { .. })),
        "{taken:?}"
    );
    assert!(
        !hub.path(model(2).id()).exists(),
        "refused before anything is written"
    );
    let like_id = hub.put(&model(2), &provenance(), &name("deadbeef"));
    assert!(matches!(like_id, Err(HubError::NameLikeId { .. })));
}

#[test]
fn removing_by_name_keeps_a_model_that_has_another() {
    let Fixture { _folder, hub } = fixture();
    let id = model(1).id();
    hub.put(&model(1), &provenance(), &name("one")).unwrap();
    hub.put(&model(1), &provenance(), &name("uno")).unwrap();
    let removed = |names: &[&str], file| Removed {
        id,
        names: names.iter().map(|n| name(n)).collect(),
        file,
    };
    assert_eq!(hub.remove("one").unwrap(), removed(&["one"], false));
    assert_eq!(hub.find("uno").unwrap(), id);
    assert_eq!(hub.remove("uno").unwrap(), removed(&["uno"], true));
    assert!(!hub.path(id).exists());

    hub.put(&model(1), &provenance(), &name("one")).unwrap();
    hub.put(&model(1), &provenance(), &name("uno")).unwrap();
    let all = hub.remove(&id.to_string()).unwrap();
    assert_eq!(all, removed(&["one", "uno"], true));
    assert_eq!(hub.list().unwrap(), []);
}

#[test]
fn a_changed_file_is_refused() {
    let Fixture { _folder, hub } = fixture();
    let id = model(1).id();
    let path = hub.put(&model(1), &provenance(), &name("one")).unwrap();
    let good = std::fs::read(&path).unwrap();
    let other = model(2).to_safetensors(&provenance()).unwrap();
    std::fs::write(&path, other).unwrap();
    assert!(matches!(hub.load(id), Err(HubError::OtherModel { .. })));
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(matches!(hub.load(id), Err(HubError::File { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(hub.load(id), Err(HubError::Absent { .. })));
    assert_eq!(hub.list().unwrap()[0].size_bytes, None);
}

#[test]
fn a_damaged_list_of_names_is_refused_and_models_stay() {
    let Fixture { _folder, hub } = fixture();
    let id = model(1).id();
    hub.put(&model(1), &provenance(), &name("one")).unwrap();
    for bad in ["", "[]", "{\"one\":\"zz\"}", "{ }", "{\"A\":\"00\"}"] {
        std::fs::write(hub.folder.join("names.json"), bad).unwrap();
        assert!(hub.find("one").is_err(), "{bad}");
        hub.load(id).unwrap();
    }
    let upper = format!("{{\"A\":\"{id}\"}}");
    std::fs::write(hub.folder.join("names.json"), upper).unwrap();
    assert!(matches!(hub.find("one"), Err(HubError::NamesName { .. })));
}
