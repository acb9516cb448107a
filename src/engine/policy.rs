//! Where the rules come from: a file or a directory, loaded again when it changes; the last good policy
//! stays when the new one is invalid.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use tokio::sync::watch;

use crate::rules::{
    Mode, Policy,
    diagnostic::Diagnostic,
    load::{Loaded, SourceFile, load},
};

/// The largest rule file that is read at all; the loader has its own, lower limit and says so better.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// The policy in force.
#[derive(Clone, Default)]
pub struct InForce {
    /// The last valid one, if there ever was one.
    pub policy: Option<Arc<Policy>>,
    /// Why the files as they are now cannot be used; while this is said, nothing is approved.
    pub broken: Option<String>,
}

/// Rules on disk.
#[derive(Clone)]
pub struct PolicySource {
    path: Arc<Path>,
    cap: Option<Mode>,
    state: Arc<RwLock<(InForce, Option<Vec<SourceFile>>)>>,
    changed: watch::Sender<()>,
}

impl PolicySource {
    /// Reads the rules at `path`, a file or a directory. Invalid ones are kept as such: the process
    /// runs, approves nothing, and takes the mended file when it comes. `cap` is the strongest mode that
    /// the operator allows.
    #[must_use]
    pub fn new(path: PathBuf, cap: Option<Mode>) -> Self {
        let source =
            Self { path: path.into(), cap, state: Arc::default(), changed: watch::Sender::new(()) };
        source.reload();
        source
    }

    /// The policy in force now.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.state.read().map(|state| state.0.clone()).unwrap_or_default()
    }

    /// Told whenever another policy is in force, or the same one is valid again.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Reads the files again. Gives whether anything changed.
    pub fn reload(&self) -> bool {
        let read = read_sources(&self.path);
        let sources = read.as_ref().ok().cloned();
        let Ok(mut state) = self.state.write() else { return false };
        if sources.is_some() && state.1 == sources {
            return false;
        }
        let was_broken = state.0.broken.clone();
        match read.map(|sources| load(&sources)) {
            Ok(Loaded { policy: Some(policy), diagnostics, .. }) => {
                warn_of(&diagnostics);
                let policy = match self.cap {
                    Some(cap) => policy.with_mode(cap),
                    None => policy,
                };
                tracing::info!(
                    path = %self.path.display(), mode = policy.mode().as_str(), rules = policy.rule_count(),
                    hash = policy.hash(), "rules loaded"
                );
                for block in policy.not_yet_acted_on() {
                    tracing::warn!(
                        block = block.block,
                        what = block.what,
                        "read, and not yet acted on in this version"
                    );
                }
                state.0 = InForce { policy: Some(Arc::new(policy)), broken: None };
            }
            Ok(Loaded { diagnostics, .. }) => {
                warn_of(&diagnostics);
                let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
                let first = diagnostics.iter().find(|diagnostic| diagnostic.is_error());
                let first = first.map(|diagnostic| diagnostic.message.clone()).unwrap_or_default();
                state.0.broken = Some(format!(
                    "the rules at {} have {errors} error{}: {first} (`patwarden rules check` shows all)",
                    self.path.display(),
                    if errors == 1 { "" } else { "s" },
                ));
            }
            Err(why) => state.0.broken = Some(why),
        }
        if let Some(why) = &state.0.broken {
            if was_broken.as_ref() == Some(why) && sources.is_none() {
                return false;
            }
            tracing::error!(
                why,
                last_good = state.0.policy.is_some(),
                "the rules cannot be used; nothing is approved"
            );
        }
        state.1 = sources;
        drop(state);
        self.changed.send_replace(());
        true
    }
}

fn warn_of(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        tracing::warn!("{}", diagnostic.render_human(false).trim_end());
    }
}

/// The rule files at `path`: the file itself, or every `.toml` of the directory, sorted by name.
///
/// # Errors
/// A sentence for people: what could not be read, and why.
pub fn read_sources(path: &Path) -> Result<Vec<SourceFile>, String> {
    let unreadable =
        |path: &Path, error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let mut files = Vec::new();
    if metadata.is_dir() {
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
    } else {
        files.push((path.display().to_string(), path.to_owned()));
        // Cases may stand beside the file they are about.
        let tests = path.with_extension("tests.toml");
        if tests.is_file() {
            files.push((tests.display().to_string(), tests));
        }
    }
    files
        .into_iter()
        .map(|(name, path)| {
            let size = std::fs::metadata(&path).map_err(|error| unreadable(&path, error))?.len();
            if size > LARGEST_FILE {
                return Err(format!(
                    "{} is {size} bytes long: too large for rules",
                    path.display()
                ));
            }
            let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| format!("{} is not text in UTF-8: save it as such", path.display()))?;
            Ok(SourceFile { name, text })
        })
        .collect()
}
