//! Files from strangers: every reader takes every small file of the fuzzers' corpora whole, cut off at
//! every length and damaged at every byte, and files that are made to hurt. None may make a reader
//! panic, and none may make it take more memory than `allowance` says, which the allocator watches.
//!
//! `make fuzz` goes on where this ends. That what is right is read right, and what is wrong refused in
//! the right words, is in the readers' own tests.

#[path = "../fuzz/src/formats.rs"]
#[allow(unreachable_pub)]
mod formats;

use std::alloc::System;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use cap::Cap;
use formats::{FORMATS, allowance, find};
use proptest::prelude::*;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Who reads: the limit is the process's.
static ALONE: Mutex<()> = Mutex::new(());

/// Has `bytes` read as a file of the format `name`. Too much memory ends the process, and names the size.
fn read(name: &str, bytes: &[u8]) {
    let _alone = ALONE.lock().unwrap();
    let read = find(name).unwrap().read;
    MEMORY.set_limit(MEMORY.allocated() + allowance(bytes.len())).unwrap();
    read(bytes);
    MEMORY.set_limit(usize::MAX).unwrap();
}

/// The small files of the format `name`, in name order.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// At most so many places of a file are tried: all of a small one.
const PLACES: usize = 120;

fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(PLACES).max(1))
}

#[test]
fn every_format_has_a_corpus_and_every_corpus_a_format() {
    for format in FORMATS {
        let files = corpus(format.name);
        assert!(!files.is_empty(), "{}", format.name);
        assert!(files.iter().all(|file| file.len() <= 8 << 10), "{}", format.name);
    }
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(entry.path().is_file() || find(&name).is_some(), "{name}");
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_read_or_refused() {
    for format in FORMATS {
        for file in corpus(format.name) {
            places(file.len()).for_each(|length| read(format.name, &file[..length]));
        }
    }
}

#[test]
fn a_file_that_is_damaged_anywhere_is_read_or_refused() {
    for format in FORMATS {
        for mut file in corpus(format.name) {
            for (turn, at) in places(file.len()).enumerate() {
                for damage in [1 << (turn % 8), 0xff] {
                    file[at] ^= damage;
                    read(format.name, &file);
                    file[at] ^= damage;
                }
            }
        }
    }
}

#[test]
fn a_file_whose_numbers_are_huge_is_read_or_refused() {
    for format in FORMATS {
        for file in corpus(format.name) {
            for width in [2, 4, 8] {
                for at in places(file.len().saturating_sub(width)).step_by(width) {
                    let mut file = file.clone();
                    file[at..at + width].fill(0xff);
                    read(format.name, &file);
                    file[at + width - 1] = 0x7f;
                    read(format.name, &file);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn two_files_put_together_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        files in any::<[prop::sample::Index; 2]>(),
        cuts in any::<[prop::sample::Index; 2]>(),
    ) {
        let format = which.get(&FORMATS);
        let corpus = corpus(format.name);
        let [one, other] = files.map(|file| file.get(&corpus).clone());
        let joined = [&one[..cuts[0].index(one.len())], &other[cuts[1].index(other.len())..]].concat();
        read(format.name, &joined);
    }
}

/// A pickle that puts `first` on the stack and under number 1, and then `again` so many times in a list.
fn repeated(first: &[u8], again: &[u8], times: usize) -> Vec<u8> {
    [b"\x80\x02", first, b"q\x01](", &again.repeat(times), b"e."].concat()
}

#[test]
fn a_pickle_of_nothing_but_values_takes_memory_by_its_length() {
    for value in [&b"N"[..], b")", b"]", b"}", b"(", b"Nq\x01"] {
        read("pickle", &repeated(b"N", value, 1 << 20));
    }
}

#[test]
fn a_long_list_that_is_copied_over_and_over_is_refused() {
    let list = [b"](", &b"N".repeat(100_000)[..], b"e"].concat();
    let set = [&b"c__builtin__\nset\nq\x02"[..], &list].concat();
    read("pickle", &repeated(&set, b"h\x02h\x01\x85R", 10_000));
    let pairs =
        [&b"ccollections\nOrderedDict\nq\x02]("[..], &b"NN\x86".repeat(50_000), b"e"].concat();
    read("pickle", &repeated(&pairs, b"h\x02h\x01\x85R", 10_000));
}

#[test]
fn a_long_name_that_is_put_together_over_and_over_is_refused() {
    let text = [&b"X\xff\x0f\0\0"[..], &b"x".repeat(0xfff)].concat();
    read("pickle", &repeated(&text, b"h\x01h\x01\x93", 200_000));
}

#[test]
fn a_tensor_with_a_long_key_that_is_met_over_and_over_is_refused() {
    let array =
        b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x01\x85cnumpy\ndtype\nX\x02\0\0\0f4\
                  \x89\x88\x87R(K\x03X\x01\0\0\0<NNNtb\x89C\x04\0\0\0\0tb";
    let key = [&b"X\xff\x0f\0\0"[..], &b"k".repeat(0xfff)].concat();
    let dict = [b"}", &key[..], array, b"s"].concat();
    let padding = b"N0".repeat(500_000);
    read("pickle", &repeated(&dict, b"h\x01", 1_000_000));
    read(
        "pickle",
        &[b"\x80\x02", &padding[..], &repeated(&dict, b"h\x01", 1_000_000)[2..]].concat(),
    );
}

#[test]
fn headers_of_nothing_but_numbers_take_memory_by_their_length() {
    let header = format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{}0]", "0,".repeat(1 << 20));
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    read("safetensors", &file);
    read("template", &file);
    read("shards", format!("{{\"metadata\":[{}0]}}", "[],".repeat(1 << 20)).as_bytes());
    read("segment", format!("{{\"id\":[{}0]}}\n", "[],".repeat(1 << 18)).as_bytes());
}

#[test]
fn nests_without_end_are_refused() {
    let deep = 200_000;
    for (format, open) in [
        ("pickle", "("),
        ("pickle", "]q\u{1}"),
        ("shards", "{\"weight_map\":"),
        ("experiment", "["),
        ("experiment", "- "),
        ("experiment", "a: {"),
        ("override", "a=["),
        ("override", "a."),
        ("segment", "{\"spec\":"),
    ] {
        read(format, open.repeat(deep).as_bytes());
    }
    read("override", format!("{}a=1", "a.".repeat(deep)).as_bytes());
    let header = "{\"a\":".repeat(deep);
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    read("safetensors", &file);
    read("template", &file);
    let nested = [b"\x80\x02N".to_vec(), b"\x85".repeat(deep), b".".to_vec()].concat();
    read("pickle", &nested);
}

#[test]
fn a_short_experiment_that_unfolds_without_end_is_refused() {
    let items = "1, ".repeat(20_000);
    let names = "*a, ".repeat(20_000);
    read("experiment", format!("a: &a [{items}]\nb: [{names}]\n").as_bytes());
    read("override", format!("a=[&a [{items}], {names}]").as_bytes());
}
