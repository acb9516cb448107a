//! Where the rules come from: a file or a directory, loaded again when it changes; the last good policy
//! stays when the new one is invalid.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
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

/// The policy in force, and the files as they were read last.
type State = (InForce, Option<Vec<SourceFile>>);

/// Rules on disk.
#[derive(Clone)]
pub struct PolicySource {
    path: Arc<Path>,
    cap: Option<Mode>,
    state: Arc<RwLock<State>>,
    reloading: Arc<Mutex<()>>,
    changed: watch::Sender<()>,
}

impl PolicySource {
    /// Reads the rules at `path`, a file or a directory. Invalid ones are kept as such: the process
    /// runs, approves nothing, and takes the mended file when it comes. `cap` is the strongest mode that
    /// the operator allows.
    #[must_use]
    pub fn new(path: PathBuf, cap: Option<Mode>) -> Self {
        let source = Self {
            path: path.into(),
            cap,
            state: Arc::default(),
            reloading: Arc::default(),
            changed: watch::Sender::new(()),
        };
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
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read_sources(&self.path);
        let sources = read.as_ref().ok().cloned();
        let unchanged = |state: &State| sources.is_some() && state.1 == sources;
        if self.state.read().is_ok_and(|state| unchanged(&state)) {
            return false;
        }
        // Before the lock is taken: large files take their time, and whoever decides must not wait for it.
        let loaded = read.map(|sources| load(&sources));
        let Ok(mut state) = self.state.write() else { return false };
        let was_broken = state.0.broken.clone();
        match loaded {
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
