//! One file from a web server, continued where an earlier attempt was cut off.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use ureq::http::{StatusCode, header};

/// How many bytes pass between two lines about them.
const STEP: u64 = 20_000_000;

/// Room for what compression and its headers may add to a file that does not shrink.
const OVERHEAD: u64 = 1 << 20;

/// Writes what `url` gives to `part`, after what `part` has already, and tells `progress` how far it is.
///
/// Nothing is checked but the length that the server announces: the digest of the file decides, and
/// `part` must be removed when it is wrong. No more is taken than a file of `bytes` bytes can need.
pub(super) fn download(
    url: &str,
    part: &Path,
    bytes: u64,
    progress: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let progress =
        &mut |done: u64| progress(&format!("got {} of {}", megabytes(done), megabytes(bytes)));
    let limit = bytes + OVERHEAD;
    let have = match fs::metadata(part) {
        Ok(found) if found.len() < limit => found.len(),
        _ => 0,
    };
    if have > 0 {
        match get(url, have) {
            Ok(body) => return append(body, part, have, limit, progress),
            Err(Refusal::Range) => {}
            Err(Refusal::Other(reason)) => return Err(reason),
        }
    }
    match get(url, 0) {
        Ok(body) => append(body, part, 0, limit, progress),
        Err(Refusal::Range) => Err("the server gives no part of the file".into()),
        Err(Refusal::Other(reason)) => Err(reason),
    }
}

enum Refusal {
    /// The server does not continue from there.
    Range,
    Other(String),
}

/// The contents of `url` from byte `start` on.
fn get(url: &str, start: u64) -> Result<impl Read, Refusal> {
    let agent = ureq::Agent::new_with_config(
        ureq::Agent::config_builder()
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(30)))
            .build(),
    );
    // A body that is compressed on the way could not be continued.
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if start > 0 {
        request = request.header(header::RANGE, format!("bytes={start}-"));
    }
    let response = request.call().map_err(|error| match error {
        ureq::Error::StatusCode(416) => Refusal::Range,
        error => Refusal::Other(error.to_string()),
    })?;
    if start > 0 {
        let range = response.headers().get(header::CONTENT_RANGE);
        let range = range.and_then(|range| range.to_str().ok()).unwrap_or_default();
        let continues = response.status() == StatusCode::PARTIAL_CONTENT
            && range.starts_with(&format!("bytes {start}-"));
        if !continues {
            return Err(Refusal::Range);
        }
    }
    Ok(response.into_body().into_reader())
}

fn append(
    mut body: impl Read,
    part: &Path,
    start: u64,
    limit: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let mut write = || -> io::Result<u64> {
        let mut file = File::options().create(true).append(true).open(part)?;
        file.set_len(start)?;
        let mut done = start;
        loop {
            let asked = STEP.min(limit - done);
            let got = io::copy(&mut body.by_ref().take(asked), &mut file)?;
            done += got;
            if got < STEP {
                return Ok(done);
            }
            progress(done);
        }
    };
    let done = write().map_err(|error| format!("cut off: {error}; a next try continues"))?;
    if done == limit {
        return Err(format!("the server sent {limit} bytes and had more"));
    }
    Ok(())
}

/// Bytes in words.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{} MB", (bytes + 500_000) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::tests::server::{answer, serve};

    fn whole() -> Vec<u8> {
        answer("200 OK\r\nContent-Length: 6", "abcdef")
    }

    #[test]
    fn a_file_is_downloaded() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part");
        let (base, server) = serve(vec![whole()]);
        download(&format!("{base}file.gz"), &part, 6, &mut |_| {}).unwrap();
        assert_eq!(fs::read_to_string(&part).unwrap(), "abcdef");
        assert!(!server.join().unwrap()[0].contains("range:"));
    }

    #[test]
    fn a_download_that_was_cut_off_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part");
        let cut = answer("200 OK\r\nContent-Length: 6", "abc");
        let rest =
            answer("206 Partial Content\r\nContent-Range: bytes 3-5/6\r\nContent-Length: 3", "def");
        let (base, server) = serve(vec![cut, rest]);
        let error = download(&format!("{base}file.gz"), &part, 6, &mut |_| {}).unwrap_err();
        assert!(error.starts_with("cut off: "), "{error}");
        assert_eq!(fs::read_to_string(&part).unwrap(), "abc");
        download(&format!("{base}file.gz"), &part, 6, &mut |_| {}).unwrap();
        assert_eq!(fs::read_to_string(&part).unwrap(), "abcdef");
        assert!(server.join().unwrap()[1].contains("range: bytes=3-\r\n"));
    }

    #[test]
    fn a_server_that_cannot_continue_is_asked_for_the_whole_file() {
        for refusal in [answer("416 Range Not Satisfiable\r\nContent-Length: 0", ""), whole()] {
            let folder = tempfile::tempdir().unwrap();
            let part = folder.path().join("part");
            fs::write(&part, "something else").unwrap();
            let (base, server) = serve(vec![refusal, whole()]);
            download(&format!("{base}file.gz"), &part, 6, &mut |_| {}).unwrap();
            assert_eq!(fs::read_to_string(&part).unwrap(), "abcdef");
            server.join().unwrap();
        }
    }

    #[test]
    fn a_file_that_does_not_end_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let (base, server) =
            serve(vec![answer("200 OK", &"a".repeat(usize::try_from(OVERHEAD).unwrap() + 100))]);
        let error =
            download(&format!("{base}file.gz"), &folder.path().join("part"), 6, &mut |_| {})
                .unwrap_err();
        assert_eq!(error, "the server sent 1048582 bytes and had more");
        drop(server);
    }

    #[test]
    fn a_long_download_says_how_far_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = 2 * STEP + 1;
        let head = format!("200 OK\r\nContent-Length: {bytes}");
        let (base, server) = serve(vec![answer(&head, vec![b'a'; bytes as usize])]);
        let (part, mut lines) = (folder.path().join("part"), Vec::new());
        download(&base, &part, bytes, &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["got 20 MB of 40 MB", "got 40 MB of 40 MB"]);
        assert_eq!(fs::metadata(&part).unwrap().len(), bytes);
        server.join().unwrap();
    }

    #[test]
    fn a_missing_file_is_reported_with_the_status() {
        let folder = tempfile::tempdir().unwrap();
        let (base, server) = serve(vec![answer("404 Not Found\r\nContent-Length: 0", "")]);
        let error =
            download(&format!("{base}file.gz"), &folder.path().join("part"), 6, &mut |_| {})
                .unwrap_err();
        assert!(error.contains("404"), "{error}");
        server.join().unwrap();
    }
}
