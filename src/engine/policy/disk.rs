//! Rule files on this machine: a file with the cases beside it, or a directory. Nothing here watches or loads them.

use std::{io::Read, path::Path};

use crate::rules::SourceFile;

/// The largest rule file that is read at all; the loader has its own, lower limit and says so better.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// The rule files at `path`: the file itself, or every `.toml` of the directory, sorted by name.
///
/// # Errors
/// A sentence for people: what could not be read, and why.
pub fn read_sources(path: &Path) -> Result<Vec<SourceFile>, String> {
    let unreadable =
        |path: &Path, error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let mut files = Vec::new();
    let folder = if metadata.is_dir() {
        for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, error))? {
            let entry = entry.map_err(|error| unreadable(path, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".toml") && !name.starts_with('.') {
                files.push((name, entry.path()));
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(format!("{} holds no .toml file", path.display()));
        }
        path
    } else {
        files.push((path.display().to_string(), path.to_owned()));
        // Cases may stand beside the file they are about.
        let tests = path.with_extension("tests.toml");
        if tests.exists() {
            files.push((tests.display().to_string(), tests));
        }
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    };
    let folder = folder.canonicalize().map_err(|error| unreadable(folder, error))?;
    files
        .into_iter()
        .map(|(name, file)| {
            // What the operator named may point anywhere; what lies beside it is somebody's contribution.
            let real = file.canonicalize().map_err(|error| unreadable(&file, error))?;
            if file != path && !real.starts_with(&folder) {
                return Err(format!(
                    "{} points out of its directory: it is not read",
                    file.display()
                ));
            }
            let text = read_text(&real).map_err(|why| format!("{} {why}", file.display()))?;
            Ok(SourceFile { name, text })
        })
        .collect()
}

/// The text of a file that is a file and not too large; or why not.
fn read_text(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Before it is opened: opening a pipe waits for its other end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // As many as there are, not as many as were announced.
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(format!("is more than {LARGEST_FILE} bytes long: too large for rules"));
    }
    String::from_utf8(bytes).map_err(|_| "is not text in UTF-8: save it as such".to_owned())
}
