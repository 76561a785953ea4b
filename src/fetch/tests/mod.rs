//! Whole fetches, from a server on this machine.

mod archives;
pub(super) mod server;

use std::thread;

use server::{answer, serve};

use super::*;

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// Of `def`.
const DEF: &str = "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";

/// A package of the files `abc` and `def`, which hold their own names, at the given servers.
fn package(bases: &[&str]) -> Package {
    let source = |base: &&str| Source {
        origin: Origin::Server { base: base.to_string().leak() },
        paths: &["abc.gz", "def.gz"],
        convert: None,
    };
    of_sources(bases.iter().map(source).collect())
}

/// The same files, at the given sources.
fn of_sources(sources: Vec<Source>) -> Package {
    Package {
        name: "small",
        help: "two short files",
        licence: "none",
        room: "data",
        files: &[
            File { name: "abc", bytes: 3, sha256: ABC },
            File { name: "def", bytes: 3, sha256: DEF },
        ],
        sources: sources.leak(),
    }
}

fn ok(body: &str) -> Vec<u8> {
    answer(&format!("200 OK\r\nContent-Length: {}", body.len()), body)
}

fn not_found() -> Vec<u8> {
    answer("404 Not Found\r\nContent-Length: 0", "")
}

fn quietly(package: &Package, cache: &Path) -> Result<Fetched, FetchError> {
    package.fetch(cache, &mut |_| {})
}

/// The visible files of the package and their contents.
fn contents(package: &Package, cache: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(package.folder(cache)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name != ".lock" {
            let bytes = fs::read(entry.path()).unwrap();
            found.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found.sort();
    found
}

fn both() -> Vec<(String, String)> {
    ["abc", "def"].map(|name| (name.to_owned(), name.to_owned())).to_vec()
}

#[test]
fn a_package_is_fetched_once_and_then_left_alone() {
    let cache = tempfile::tempdir().unwrap();
    let (base, server) = serve(vec![ok("abc"), ok("def")]);
    let package = package(&[&base]);
    let fetched = quietly(&package, cache.path()).unwrap();
    assert_eq!(fetched.sources, [format!("the server {base}")]);
    assert_eq!(contents(&package, cache.path()), both());
    let requests = server.join().unwrap();
    assert!(requests[0].starts_with("get /abc.gz ") && requests[1].starts_with("get /def.gz "));

    // The server is gone, so this asks nobody.
    assert!(quietly(&package, cache.path()).unwrap().sources.is_empty());
    assert_eq!(package.read(&package.files[1], cache.path()).unwrap(), b"def");
}

#[test]
fn what_one_source_lacks_comes_from_the_next() {
    let cache = tempfile::tempdir().unwrap();
    let (first, _server) = serve(vec![ok("abc"), not_found()]);
    let (second, _server) = serve(vec![ok("def")]);
    let package = package(&[&first, &second]);
    let fetched = quietly(&package, cache.path()).unwrap();
    assert_eq!(fetched.sources.len(), 2);
    assert_eq!(contents(&package, cache.path()), both());
}

#[test]
fn a_wrong_file_is_never_placed_and_the_next_source_is_tried() {
    let cache = tempfile::tempdir().unwrap();
    let (first, _server) = serve(vec![ok("abd")]);
    let (second, _server) = serve(vec![ok("abc"), ok("def")]);
    let package = package(&[&first, &second]);
    let mut lines = Vec::new();
    package.fetch(cache.path(), &mut |line| lines.push(line.to_owned())).unwrap();
    assert_eq!(contents(&package, cache.path()), both());
    let complaint = format!("small: the server {first}: abc: expected sha256 {ABC} once");
    assert!(lines.iter().any(|line| line.starts_with(&complaint)), "{lines:?}");
}

#[test]
fn a_damaged_file_is_fetched_again_and_kept_until_then() {
    let cache = tempfile::tempdir().unwrap();
    let (base, _server) = serve(vec![not_found(), ok("abc")]);
    let package = package(&[&base]);
    fs::create_dir_all(package.folder(cache.path())).unwrap();
    for (name, content) in [("abc", "abx"), ("def", "def")] {
        fs::write(package.folder(cache.path()).join(name), content).unwrap();
    }
    assert_eq!(package.state(&package.files[0], cache.path()).unwrap(), State::Damaged);
    assert!(quietly(&package, cache.path()).is_err());
    assert_eq!(contents(&package, cache.path())[0].1, "abx");
    quietly(&package, cache.path()).unwrap();
    assert_eq!(contents(&package, cache.path()), both());
}

#[test]
fn when_all_sources_fail_each_is_listed_with_its_reason_and_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let (first, _server) = serve(vec![not_found()]);
    let (second, _server) = serve(vec![ok("abcabc")]);
    let package = package(&[&first, &second]);
    let error = quietly(&package, cache.path()).unwrap_err().to_string();
    let folder = package.folder(cache.path()).display().to_string();
    let error = error.replace(&folder, "FOLDER").replace(&first, "A").replace(&second, "B");
    assert_eq!(
        error,
        format!(
            "small: no source gave abc, def\n  \
             the server A: http status: 404\n  \
             the server B: abc: expected 3 bytes once decompressed, got more\n\
             or put by hand, decompressed\n  \
             FOLDER/abc  with sha256 {ABC}\n  \
             FOLDER/def  with sha256 {DEF}"
        )
    );
}

#[test]
fn two_fetches_at_once_download_once() {
    let cache = tempfile::tempdir().unwrap();
    let (base, server) = serve(vec![ok("abc"), ok("def")]);
    let package = package(&[&base]);
    let fetch = || quietly(&package, cache.path()).unwrap().sources.len();
    let (one, other) = thread::scope(|scope| {
        let threads = [scope.spawn(fetch), scope.spawn(fetch)];
        let [one, other] = threads.map(|thread| thread.join().unwrap());
        (one, other)
    });
    assert_eq!(one + other, 1);
    assert_eq!(server.join().unwrap().len(), 2);
    assert_eq!(contents(&package, cache.path()), both());
}

#[test]
fn what_a_killed_fetch_left_is_removed() {
    let cache = tempfile::tempdir().unwrap();
    let (base, _server) = serve(vec![ok("abc"), ok("def")]);
    let package = package(&[&base]);
    let folder = package.folder(cache.path());
    fs::create_dir_all(folder.join(".fetch-old/unpacked")).unwrap();
    fs::write(folder.join(".fetch-half"), "ab").unwrap();
    quietly(&package, cache.path()).unwrap();
    assert_eq!(contents(&package, cache.path()), both());
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = quietly(&package(&[]), file.path()).unwrap_err().to_string();
    let start = format!("{}/data/small: cannot be used as cache: ", file.path().display());
    assert!(error.starts_with(&start), "{error}");
    assert!(error.ends_with("choose another place with POLARITY_CACHE=DIR"), "{error}");
}
