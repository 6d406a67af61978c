//! Tiles and entry bundles: the specification's own examples, what an append writes, and paths that are no path.

use std::collections::{BTreeMap, BTreeSet};

use credence_log::edge::EdgeError;
use credence_log::entry::{self, EntriesError, EntriesId};
use credence_log::proof::{Plan, TileSet};
use credence_log::tile::TileError;
use credence_log::{Edge, Hash, SIZE_MAX, Tile, TileId};
use proptest::prelude::*;

use crate::shared::{entry as digest, leaf, tree};

fn id(level: u8, index: u64, width: u16) -> TileId {
    TileId::new(level, index, width).unwrap()
}

#[test]
fn paths_are_those_of_the_specification() {
    let cases = [
        (id(0, 0, 256), "tile/0/000"),
        (id(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (id(0, 273, 112), "tile/0/273.p/112"),
        (id(1, 1, 17), "tile/1/001.p/17"),
        (id(2, 0, 1), "tile/2/000.p/1"),
        (id(3, 1000, 255), "tile/3/x001/000.p/255"),
    ];
    for (tile, path) in cases {
        assert_eq!(tile.path(), path);
        assert_eq!(TileId::from_path(path), Ok(tile));
    }
    let entries = EntriesId::new(1_234_067, 5).unwrap();
    assert_eq!(entries.path(), "tile/entries/x001/x234/067.p/5");
    assert_eq!(EntriesId::from_path(&entries.path()), Ok(entries));
}

#[test]
fn what_is_no_path_is_refused() {
    for bad in [
        "",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/+0/000",
        "tile/0/x000/000",
        "tile/0/x001",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/0٣0",
        "tile/entries/000",
        "tile/8/000",
        "tile/64/000",
    ] {
        assert_eq!(TileId::from_path(bad), Err(TileError::Path), "{bad}");
    }
    let far = format!("tile/0/{}000", "x999/".repeat(7));
    assert!(TileId::from_path(&far).is_err());
    let beyond = "tile/7/000";
    assert!(matches!(
        TileId::from_path(beyond),
        Err(TileError::Coordinates { .. })
    ));
    for bad in [
        "tile/entries/",
        "tile/0/000",
        "tile/entries/00",
        "entries/000",
    ] {
        assert_eq!(EntriesId::from_path(bad), Err(EntriesError::Path), "{bad}");
    }
}

#[test]
fn the_example_of_70_000_entries_holds() {
    let all: Vec<_> = TileId::added(0, 70_000).collect();
    let full = |level| {
        all.iter()
            .filter(|tile| tile.level() == level && tile.is_full())
            .count()
    };
    assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
    let partial: Vec<_> = all.iter().filter(|tile| !tile.is_full()).copied().collect();
    assert_eq!(partial, [id(0, 273, 112), id(1, 1, 17), id(2, 0, 1)]);
    assert_eq!(TileId::right_edge(70_000), partial);
    let of_256: Vec<_> = TileId::added(0, 256).collect();
    assert_eq!(of_256, [id(0, 0, 256), id(1, 0, 1)]);
    assert_eq!(TileId::added(5, 5).count(), 0);
    assert_eq!(TileId::right_edge(0), []);
    assert_eq!(TileId::right_edge(SIZE_MAX).len(), 8);
}

#[test]
fn an_edge_writes_what_the_plan_names_and_reads_it_back() {
    let steps = [1, 2, 254, 255, 256, 257, 400, 512, 513, 1000, 66_000];
    let mut edge = Edge::new();
    let mut disk: BTreeMap<TileId, Tile> = BTreeMap::new();
    for new in steps {
        let old = edge.size();
        for at in old..new {
            edge.append(leaf(at)).unwrap();
        }
        let tiles = edge.take_tiles();
        let wrote: BTreeSet<_> = tiles.iter().map(Tile::id).collect();
        assert_eq!(wrote, TileId::added(old, new).collect(), "{old} to {new}");
        for tile in tiles {
            let again = Tile::decode(tile.id(), &tile.encode()).unwrap();
            assert_eq!(again, tile);
            disk.insert(tile.id(), again);
        }
        assert_eq!(edge.take_tiles(), []);
        // A sequencer that starts again finds the same tree in its tiles.
        let edges: Vec<_> = TileId::right_edge(new)
            .iter()
            .map(|id| disk[id].clone())
            .collect();
        let again = Edge::from_tiles(new, &edges).unwrap();
        assert_eq!((again.root(), again.size()), (edge.root(), new));
        edge = again;
    }
    // What is proved needs no more tiles than the plan names, and only those.
    let size = edge.size();
    for index in [0, 255, 256, 65_535, 65_536, size - 1] {
        let plan = Plan::inclusion(index, size).unwrap();
        let mut tiles = TileSet::new();
        tiles.extend(plan.tiles().iter().map(|id| disk[id].clone()));
        let proof = plan.make(&tiles).unwrap();
        let root = edge.root();
        credence_log::proof::verify_inclusion(&leaf(index), index, (size, &root), &proof).unwrap();
    }
}

#[test]
fn another_edge_is_refused() {
    let (mut edge, _) = tree(0);
    for at in 0..300 {
        edge.append(leaf(at)).unwrap();
    }
    let tiles: Vec<_> = edge
        .take_tiles()
        .into_iter()
        .filter(|tile| !tile.id().is_full())
        .collect();
    assert_eq!(Edge::from_tiles(300, &tiles).unwrap().root(), edge.root());
    for (size, tiles) in [
        (300, &tiles[..1]),
        (301, &tiles[..]),
        (256, &tiles[..]),
        (0, &tiles[..]),
    ] {
        assert!(matches!(
            Edge::from_tiles(size, tiles),
            Err(EdgeError::Tile { .. })
        ));
    }
    assert_eq!(Edge::from_tiles(SIZE_MAX + 1, &[]), Err(EdgeError::Full));
}

#[test]
fn coordinates_that_no_log_has_are_refused() {
    for (level, index, width) in [
        (8, 0, 1),
        (7, 0, 128),
        (0, 0, 0),
        (0, 0, 257),
        (0, u64::MAX, 1),
        (0, SIZE_MAX / 256, 256),
    ] {
        assert!(TileId::new(level, index, width).is_err(), "{level} {index}");
    }
    assert_eq!(TileId::in_tree(0, 1, 256), None);
    assert_eq!(TileId::in_tree(1, 0, 255), None);
}

#[test]
fn tiles_and_bundles_have_exactly_their_bytes() {
    let tile = id(0, 0, 3);
    for len in [0, 95, 97, 96 + 32] {
        assert!(matches!(
            Tile::decode(tile, &vec![0; len]),
            Err(TileError::Len { expected: 96, .. })
        ));
    }
    let entries: Vec<_> = (0..3).map(digest).collect();
    let bytes = entry::encode(&entries);
    assert_eq!(&bytes[..2], &[0, 32], "the length is big-endian");
    let three = EntriesId::new(0, 3).unwrap();
    assert_eq!(entry::decode(three, &bytes).unwrap(), entries);
    assert_eq!(entry::leaves(&entries), [leaf(0), leaf(1), leaf(2)]);
    for len in 0..bytes.len() {
        assert!(matches!(
            entry::decode(three, &bytes[..len]),
            Err(EntriesError::Len { expected: 102, .. })
        ));
    }
    let mut other = bytes;
    other[35] = 31;
    assert_eq!(
        entry::decode(three, &other),
        Err(EntriesError::EntryLen { at: 1, got: 31 })
    );
}

#[test]
fn the_second_implementation_names_the_same_tiles() {
    for (old, new) in [
        (0, 1),
        (0, 256),
        (255, 257),
        (300, 70_000),
        (65_536, 65_537),
    ] {
        let theirs = tlog_tiles::Tile::new_tiles(8, old, new);
        let theirs: Vec<_> = theirs
            .iter()
            .map(|tile| tile.path().replacen("tile/8/", "tile/", 1))
            .collect();
        let ours: Vec<_> = TileId::added(old, new).map(|tile| tile.path()).collect();
        assert_eq!(ours, theirs, "{old} to {new}");
    }
    let (mut edge, _) = tree(0);
    for at in 0..256 {
        edge.append(leaf(at)).unwrap();
    }
    let tiles = edge.take_tiles();
    let root = tlog_tiles::Tile::subtree_hash(&tiles[0].encode());
    assert_eq!(Hash::from_bytes(root.0), edge.root());
}

/// Our tiles, as the second implementation reads them from a disk.
struct Disk(BTreeMap<String, Vec<u8>>);

impl tlog_tiles::TileReader for Disk {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &tlog_tiles::Tile| {
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            self.0[&path].clone()
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[test]
fn the_second_implementation_authenticates_our_tiles_and_proves_the_same_from_them() {
    for size in [1, 255, 256, 257, 600, 66_000] {
        let (mut edge, mut set) = (Edge::new(), TileSet::new());
        for at in 0..size {
            edge.append(leaf(at)).unwrap();
        }
        let tiles = edge.take_tiles();
        let disk = tiles.iter().map(|tile| (tile.id().path(), tile.encode()));
        let disk = Disk(disk.collect());
        set.extend(tiles);
        let root = tlog_tiles::Hash(*edge.root().as_bytes());
        let reader = tlog_tiles::TileHashReader::new(size, root, &disk);
        for index in [0, size / 2, size - 1] {
            let ours = Plan::inclusion(index, size).unwrap().make(&set).unwrap();
            let theirs = tlog_tiles::prove_record(size, index, &reader).unwrap();
            let theirs: Vec<_> = theirs.iter().map(|hash| Hash::from_bytes(hash.0)).collect();
            assert_eq!(ours, theirs, "{index} in {size}");
        }
    }
}

proptest! {
    #[test]
    fn a_path_that_is_read_is_written_the_same(path in "tile/[0-9]{1,2}/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(tile) = TileId::from_path(&path) {
            prop_assert_eq!(tile.path(), path);
        }
    }
}
