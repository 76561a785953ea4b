//! Fetches of archives, and of what is another file there.

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// A gzipped tar of the files, in a folder as archives have one.
fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("package/{name}"), content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// A package whose files are in the archive `small.tar.gz` on the server, which is to be `bytes`.
fn package(base: &str, bytes: &[u8], convert: Option<Convert>) -> Package {
    let archive =
        File { name: "small.tar.gz", bytes: bytes.len() as u64, sha256: sha256(bytes).leak() };
    let origin = Origin::Archive { base: base.to_owned().leak(), archive };
    of_sources(vec![Source { origin, paths: &["package/abc", "package/def"], convert }])
}

fn sent(bytes: &[u8]) -> Vec<u8> {
    answer(&format!("200 OK\r\nContent-Length: {}", bytes.len()), bytes)
}

#[test]
fn an_archive_gives_its_files_and_is_not_kept() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = tarball(&[("abc", "abc"), ("def", "def")]);
    let (base, server) = serve(vec![sent(&bytes)]);
    let package = package(&base, &bytes, None);
    let fetched = quietly(&package, cache.path()).unwrap();
    assert_eq!(fetched.sources, [format!("the archive {base}small.tar.gz")]);
    assert_eq!(contents(&package, cache.path()), both());
    assert!(server.join().unwrap()[0].starts_with("get /small.tar.gz "));
}

#[test]
fn an_archive_that_was_put_there_by_hand_is_unpacked_and_nobody_is_asked() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = tarball(&[("abc", "abc"), ("def", "def")]);
    let package = package("http://127.0.0.1:9/", &bytes, None);
    let folder = package.folder(cache.path());
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("small.tar.gz"), &bytes).unwrap();
    quietly(&package, cache.path()).unwrap();
    for name in ["abc", "def"] {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), name);
    }
}

#[test]
fn another_archive_than_the_right_one_is_never_unpacked() {
    let cache = tempfile::tempdir().unwrap();
    let (right, wrong) = (tarball(&[("abc", "abc")]), tarball(&[("abc", "abd")]));
    let (base, _server) = serve(vec![sent(&wrong)]);
    let package = package(&base, &right, None);
    let error = quietly(&package, cache.path()).unwrap_err().to_string();
    let folder = package.folder(cache.path()).display().to_string();
    let digest = sha256(&right);
    let bytes = right.len();
    assert_eq!(
        error.replace(&folder, "FOLDER"),
        format!(
            "small: no source gave abc, def\n  \
             the archive {base}small.tar.gz: small.tar.gz: expected {bytes} bytes with sha256 {digest}, got \
             others\n\
             or put one of these by hand, as it is published, and fetch again\n  \
             FOLDER/small.tar.gz  with sha256 {digest}\n\
             or put by hand, decompressed\n  \
             FOLDER/abc  with sha256 {ABC}\n  \
             FOLDER/def  with sha256 {DEF}"
        )
    );
    assert!(contents(&package, cache.path()).is_empty());
}

#[test]
fn what_is_there_in_another_form_is_made_into_the_file_and_checked() {
    let lower: Convert = |path| {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        Ok(text.to_lowercase().into_bytes())
    };
    for (second, legal) in [("DEF", true), ("DEG", false)] {
        let cache = tempfile::tempdir().unwrap();
        let bytes = tarball(&[("abc", "ABC"), ("def", second)]);
        let (base, _server) = serve(vec![sent(&bytes)]);
        let package = package(&base, &bytes, Some(lower));
        let mut lines = Vec::new();
        let fetched = package.fetch(cache.path(), &mut |line| lines.push(line.to_owned()));
        assert_eq!(fetched.is_ok(), legal);
        assert!(lines.contains(&"small: making abc".to_owned()), "{lines:?}");
        let there = contents(&package, cache.path());
        let placed = there.iter().filter(|(name, _)| !name.ends_with(".part")).count();
        assert_eq!(placed, if legal { 2 } else { 1 });
    }
}

#[test]
fn a_download_that_another_source_made_needless_is_removed() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = tarball(&[("abc", "abc"), ("def", "def")]);
    let (first, _server) = serve(vec![answer("200 OK\r\nContent-Length: 500", "cut off")]);
    let (second, _server) = serve(vec![ok("abc"), ok("def")]);
    let of_archive = package(&first, &bytes, None);
    assert!(quietly(&of_archive, cache.path()).is_err());
    assert!(of_archive.folder(cache.path()).join("small.tar.gz.part").exists());
    let of_server = super::package(&[&second]);
    quietly(&of_server, cache.path()).unwrap();
    assert_eq!(contents(&of_server, cache.path()), both());
}
