//! `brevet keys export-jwks`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::admin;
use crate::wire::admin::signing_key::{PublicDocument, PublicDocuments};

/// Write the public documents as a tree of files for a CDN, with the headers to serve them with
///
/// Each file is replaced as a whole, the JWKS first; files that say the same already are left alone, so it may run as
/// often as the export lag of the schedule asks. A key signs only once it was seen at the public jwks_uri for its lead
/// time, so a copy that is forgotten stops rotation, not verification.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys export-jwks /var/www/id.example.com")]
pub(in crate::cli) struct ExportJwks {
    #[command(flatten)]
    flags: AdminFlags,
    /// The folder that is served as the root of the issuer's host; it must be there
    folder: PathBuf,
}

#[derive(Serialize)]
struct Exported {
    files: Vec<Written>,
    export_again_within_seconds: u32,
}

#[derive(Serialize)]
struct Written {
    path: PathBuf,
    changed: bool,
    content_type: String,
    cache_control: String,
}

impl ExportJwks {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let output = run.output.as_json(self.flags.json);
        if !self.folder.is_dir() {
            return Err(Failure::Usage(format!("{} is no folder: make it first", self.folder.display())));
        }
        let PublicDocuments { items, export_again_within_seconds } =
            admin(run, &self.flags).await?.public_documents().await?;
        let files = items.into_iter().map(|document| written(&self.folder, document)).collect::<Result<_, _>>()?;
        output.data(&Exported { files, export_again_within_seconds }, |exported| shown(output.out(), exported))
    }
}

fn shown(paint: Paint, exported: &Exported) -> String {
    let row = |file: &Written| {
        let path = file.path.display().to_string();
        let changed = if file.changed { "written" } else { "unchanged" };
        [path, changed.to_owned(), file.content_type.clone(), file.cache_control.clone()]
    };
    let table = table(paint, ["FILE", "", "Content-Type", "Cache-Control"], exported.files.iter().map(row));
    let headers = "serve all of it with Access-Control-Allow-Origin: * and without redirects or cookies";
    let again = exported.export_again_within_seconds;
    format!("{table}\n\n{headers}\nexport again every {again} s at least: the schedule's export lag")
}

fn written(folder: &Path, document: PublicDocument) -> Result<Written, Failure> {
    let relative = within(&document.path).ok_or_else(|| {
        Failure::Refused(format!("the issuer named a document outside its tree: {:?}", document.path))
    })?;
    let path = folder.join(relative);
    let failed = |error: io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    let changed = !fs::read(&path).is_ok_and(|there| there == document.body.as_bytes());
    if changed {
        replace(&path, document.body.as_bytes()).map_err(failed)?;
    }
    Ok(Written { path, changed, content_type: document.content_type, cache_control: document.cache_control })
}

/// `path` without its first slash, if every segment is a plain name: what a server says is no path to write to yet.
fn within(path: &str) -> Option<&str> {
    let relative = path.strip_prefix('/')?;
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~'))
    };
    relative.split('/').all(plain).then_some(relative)
}

/// Replaces the file as a whole: whoever copies the tree meanwhile finds the old text or the new one.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = fs::File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_names_stays_within_the_folder() {
        for (path, within_it) in [
            ("/.well-known/jwks.json", Some(".well-known/jwks.json")),
            ("/a/.well-known/openid-configuration", Some("a/.well-known/openid-configuration")),
            ("jwks.json", None),
            ("//etc/passwd", None),
            ("/../etc/passwd", None),
            ("/a/./b", None),
            ("/a\\b", None),
            ("/a/", None),
            ("/", None),
        ] {
            assert_eq!(within(path), within_it, "{path}");
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_left_alone_where_it_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let document = |body: &str| PublicDocument {
            path: "/a/.well-known/jwks.json".to_owned(),
            body: body.to_owned(),
            content_type: "application/json".to_owned(),
            cache_control: "public, max-age=3600".to_owned(),
            etag: "\"x\"".to_owned(),
        };
        for (body, changed) in [("one", true), ("one", false), ("two", true)] {
            let done = written(folder.path(), document(body)).unwrap();
            assert_eq!(done.changed, changed);
            assert_eq!(fs::read_to_string(&done.path).unwrap(), body);
        }
        assert_eq!(fs::read_dir(folder.path().join("a/.well-known")).unwrap().count(), 1, "nothing is left beside");
    }
}
