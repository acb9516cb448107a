//! The files with the App's credentials: made before they are asked for, for their owner alone, never over others.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use super::Choices;
use crate::github::NewApp;

/// The settings file, in its folder.
pub const SETTINGS: &str = "patwarden.toml";

/// The record, which `serve` makes at its first start unless the settings are made to name another place.
pub const RECORD: &str = "patwarden.sqlite";

/// The private key.
const KEY: &str = "patwarden.pem";

/// The webhook's secret.
const SECRET: &str = "patwarden.webhook-secret";

/// Why credentials cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Something has the name of one of them.
    #[error("{} is there already, and nothing is written over it: use it, move it away, or name another folder with --out", .0.display())]
    Exists(PathBuf),
    /// The disk refuses.
    #[error("{} cannot be written: {why}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// What it said.
        why: io::Error,
    },
    /// A path that settings cannot hold.
    #[error("{} cannot be named in a settings file: choose another folder with --out", .0.display())]
    Name(PathBuf),
}

/// Files that were made and are still empty. Dropped, they are gone again.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    made: Vec<(PathBuf, File)>,
    kept: bool,
}

/// Where what was written is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The settings file.
    pub settings: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
    /// The webhook's secret; `None`: webhooks are off.
    pub webhook_secret: Option<PathBuf>,
    /// Where rules are, as the settings say it.
    pub rules: String,
    /// The record, as the settings say it.
    pub database: String,
}

impl Files {
    /// Whether there is room for them in `folder`: nothing has one of their names.
    ///
    /// # Errors
    /// What is there already.
    pub fn look(folder: &Path) -> Result<(), FilesError> {
        for name in [SETTINGS, KEY, SECRET] {
            let path = folder.join(name);
            // Also a link that leads nowhere.
            if path.symlink_metadata().is_ok() {
                return Err(FilesError::Exists(path));
            }
        }
        Ok(())
    }

    /// Makes them in `folder`, which is made where it is not there, so that what GitHub tells once has its place before it
    /// is told.
    ///
    /// # Errors
    /// When one is there already, or cannot be made.
    pub fn make(folder: &Path) -> Result<Self, FilesError> {
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |why| FilesError::Disk { path, why }
        };
        Self::look(folder)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(disk(folder))?;
        let folder = folder.canonicalize().map_err(disk(folder))?;
        if folder.to_str().is_none_or(|path| path.chars().any(char::is_control)) {
            return Err(FilesError::Name(folder));
        }
        let mut files = Self { folder, made: Vec::new(), kept: false };
        for name in [KEY, SECRET, SETTINGS] {
            let path = files.folder.join(name);
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let file = file.map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => FilesError::Exists(path.clone()),
                _ => FilesError::Disk { path: path.clone(), why: error },
            })?;
            files.made.push((path, file));
        }
        Ok(files)
    }

    /// Writes what GitHub gave. `secret` is what webhooks are signed with.
    ///
    /// # Errors
    /// When the disk refuses; then the files are gone again.
    pub fn write(
        mut self,
        app: &NewApp,
        secret: Option<&SecretString>,
        choices: &Choices,
    ) -> Result<Written, FilesError> {
        let path = |name: &str| self.folder.join(name);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let rules = match &choices.rules {
            Some(place) => place.to_string(),
            None => text(&path("rules.toml")),
        };
        let written = Written {
            settings: path(SETTINGS),
            private_key: path(KEY),
            webhook_secret: secret.map(|_| path(SECRET)),
            rules,
            database: format!("sqlite:{}", text(&path(RECORD))),
        };
        let settings = settings(app, &written, choices);
        for (path, file) in &mut self.made {
            let content = if *path == written.settings {
                settings.as_bytes()
            } else if *path == written.private_key {
                app.private_key.expose_secret().as_bytes()
            } else {
                secret.map(|secret| secret.expose_secret().as_bytes()).unwrap_or_default()
            };
            let done = file.write_all(content).and_then(|()| file.sync_all());
            done.map_err(|why| FilesError::Disk { path: path.clone(), why })?;
        }
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(|why| FilesError::Disk { path: self.folder.clone(), why })?;
        self.kept = true;
        if secret.is_none() {
            // Nothing stands in it.
            let _ = std::fs::remove_file(self.folder.join(SECRET));
        }
        Ok(written)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if !self.kept {
            for (path, _) in &self.made {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn settings(app: &NewApp, written: &Written, choices: &Choices) -> String {
    // What JSON writes of a text without control characters is the same text in TOML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let of = |path: &Path| quoted(&path.to_string_lossy());
    let mut lines = vec![
        format!("# Written by `patwarden setup` for the App {}.", app.page),
        "# `patwarden serve --help` explains every setting.".to_owned(),
        format!("app-id = {}", app.id),
        format!("private-key-path = {}", of(&written.private_key)),
    ];
    match &written.webhook_secret {
        Some(path) => lines.push(format!("webhook-secret-path = {}", of(path))),
        None => lines.push("webhook = \"off\"".to_owned()),
    }
    lines.push(format!("api-url = {}", quoted(choices.host.api())));
    lines.push(format!("rules = {}", quoted(&written.rules)));
    lines.push("# The record of what is asked and decided, made at the first start. On a local disk, never on a network file".to_owned());
    lines.push(
        "# system; name another place here before, if this folder is not the one for it."
            .to_owned(),
    );
    lines.push(format!("database-url = {}", quoted(&written.database)));
    lines.join("\n") + "\n"
}
