//! One file from a web server, continued where an earlier attempt was cut off.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::{StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// How many bytes pass between two lines about them.
const STEP: u64 = 20_000_000;

/// Room for what compression and its headers may add to a file that does not shrink.
pub(super) const OVERHEAD: u64 = 1 << 20;

/// How often a download that was cut off is continued before it is given up.
const TRIES: usize = 3;

/// The most bytes of a page of text.
const LONGEST_PAGE: u64 = 64 << 20;

/// Who asks servers.
pub(super) struct Agent(ureq::Agent);

impl Agent {
    /// One that trusts the usual authorities, or those in the file of `certificates`.
    pub(super) fn trusting(certificates: Option<&Path>) -> Result<Self, String> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = certificates {
            tls = tls.root_certs(RootCerts::from(read_certificates(path)?));
        }
        let config = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(30)));
        Ok(Agent(ureq::Agent::new_with_config(config.build())))
    }

    /// One that trusts what the user has set.
    pub(super) fn usual() -> Result<Self, String> {
        let certificates = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        Agent::trusting(certificates.as_deref())
    }

    /// The text at `url`, in one of the forms of `accept`.
    pub(super) fn text(&self, url: &str, accept: &str) -> Result<String, String> {
        let response = self.0.get(url).header(header::ACCEPT, accept).call();
        let mut body = response.map_err(|error| error.to_string())?.into_body();
        let text = body.with_config().limit(LONGEST_PAGE).read_to_string();
        text.map_err(|error| error.to_string())
    }
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let within = |what: String| format!("the certificates in {}: {what}", path.display());
    let pem = fs::read(path).map_err(|error| within(error.to_string()))?;
    let found: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err(within("expected at least one, got none".into())) } else { Ok(found) }
}

/// Writes what `url` gives to `part`, after what `part` has already; where it is cut off it goes on, a
/// few times. `progress` is told how far it is.
///
/// Nothing is checked but the length that the server announces: the digest of the file decides, and
/// `part` must be removed when it is wrong. No more is taken than a file of `bytes` bytes can need.
pub(super) fn download(
    agent: &Agent,
    url: &str,
    part: &Path,
    bytes: u64,
    progress: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let progress =
        &mut |done: u64| progress(&format!("got {} of {}", megabytes(done), megabytes(bytes)));
    let mut tries = 1;
    loop {
        match once(agent, url, part, bytes + OVERHEAD, progress) {
            Err(Failure::Cut(_)) if tries < TRIES => tries += 1,
            Err(Failure::Cut(reason)) => {
                return Err(format!("cut off {TRIES} times: {reason}; a next try continues"));
            }
            Err(Failure::Other(reason)) => return Err(reason),
            Ok(()) => return Ok(()),
        }
    }
}

fn once(
    agent: &Agent,
    url: &str,
    part: &Path,
    limit: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    let have = match fs::metadata(part) {
        Ok(found) if found.len() < limit => found.len(),
        _ => 0,
    };
    if have > 0 {
        match get(agent, url, have) {
            Ok(body) => return append(body, part, have, limit, progress),
            Err(Refusal::Range) => {}
            Err(Refusal::Other(reason)) => return Err(Failure::Other(reason)),
        }
    }
    match get(agent, url, 0) {
        Ok(body) => append(body, part, 0, limit, progress),
        Err(Refusal::Range) => Err(Failure::Other("the server gives no part of the file".into())),
        Err(Refusal::Other(reason)) => Err(Failure::Other(reason)),
    }
}

/// Why a file did not come.
enum Failure {
    /// Its connection ended too early, or the disk failed.
    Cut(io::Error),
    Other(String),
}

enum Refusal {
    /// The server does not continue from there.
    Range,
    Other(String),
}

/// The contents of `url` from byte `start` on.
fn get(agent: &Agent, url: &str, start: u64) -> Result<impl Read, Refusal> {
    // A body that is compressed on the way could not be continued.
    let mut request = agent.0.get(url).header(header::ACCEPT_ENCODING, "identity");
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
) -> Result<(), Failure> {
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
    let done = write().map_err(Failure::Cut)?;
    if done == limit {
        return Err(Failure::Other(format!("the server sent {limit} bytes and had more")));
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

    fn download(url: &str, part: &Path, bytes: u64) -> Result<(), String> {
        super::download(&Agent::trusting(None).unwrap(), url, part, bytes, &mut |_| {})
    }

    fn whole() -> Vec<u8> {
        answer("200 OK\r\nContent-Length: 6", "abcdef")
    }

    #[test]
    fn a_file_is_downloaded() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part");
        let (base, server) = serve(vec![whole()]);
        download(&format!("{base}file.gz"), &part, 6).unwrap();
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
        download(&format!("{base}file.gz"), &part, 6).unwrap();
        assert_eq!(fs::read_to_string(&part).unwrap(), "abcdef");
        assert!(server.join().unwrap()[1].contains("range: bytes=3-\r\n"));
    }

    #[test]
    fn a_download_that_is_cut_off_again_and_again_is_given_up_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("part");
        let cut = |start: usize, body: &str| {
            let range =
                format!("Content-Range: bytes {start}-5/6\r\nContent-Length: {}", 6 - start);
            answer(&format!("206 Partial Content\r\n{range}"), body)
        };
        let first = answer("200 OK\r\nContent-Length: 6", "a");
        let (base, server) = serve(vec![first, cut(1, "b"), cut(2, "c"), cut(3, "def")]);
        let error = download(&format!("{base}file.gz"), &part, 6).unwrap_err();
        assert!(error.starts_with("cut off 3 times: "), "{error}");
        assert_eq!(fs::read_to_string(&part).unwrap(), "abc");
        download(&format!("{base}file.gz"), &part, 6).unwrap();
        assert_eq!(fs::read_to_string(&part).unwrap(), "abcdef");
        server.join().unwrap();
    }

    #[test]
    fn a_server_that_cannot_continue_is_asked_for_the_whole_file() {
        for refusal in [answer("416 Range Not Satisfiable\r\nContent-Length: 0", ""), whole()] {
            let folder = tempfile::tempdir().unwrap();
            let part = folder.path().join("part");
            fs::write(&part, "something else").unwrap();
            let (base, server) = serve(vec![refusal, whole()]);
            download(&format!("{base}file.gz"), &part, 6).unwrap();
            assert_eq!(fs::read_to_string(&part).unwrap(), "abcdef");
            server.join().unwrap();
        }
    }

    #[test]
    fn a_file_that_does_not_end_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let (base, server) =
            serve(vec![answer("200 OK", "a".repeat(usize::try_from(OVERHEAD).unwrap() + 100))]);
        let error =
            download(&format!("{base}file.gz"), &folder.path().join("part"), 6).unwrap_err();
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
        let agent = Agent::trusting(None).unwrap();
        let tell = &mut |line: &str| lines.push(line.to_owned());
        super::download(&agent, &base, &part, bytes, tell).unwrap();
        assert_eq!(lines, ["got 20 MB of 40 MB", "got 40 MB of 40 MB"]);
        assert_eq!(fs::metadata(&part).unwrap().len(), bytes);
        server.join().unwrap();
    }

    #[test]
    fn a_missing_file_is_reported_with_the_status() {
        let folder = tempfile::tempdir().unwrap();
        let (base, server) = serve(vec![answer("404 Not Found\r\nContent-Length: 0", "")]);
        let error =
            download(&format!("{base}file.gz"), &folder.path().join("part"), 6).unwrap_err();
        assert!(error.contains("404"), "{error}");
        server.join().unwrap();
    }
}
