//! What `--version` says: the version, and which commit was built where that is known. Nothing else is decided here.
//!
//! `PATWARDEN_COMMIT` says it, for builds without a repository; else git is asked, for releases only. In a development build it would
//! have every commit compile everything anew, to name a commit that the code is no longer at.
#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PATWARDEN_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let said = env::var("PATWARDEN_COMMIT").ok().filter(|said| !said.is_empty());
    let commit = match said {
        Some(said) if is_plain(&said) => Some(said),
        Some(_) => {
            println!("cargo:warning=PATWARDEN_COMMIT is no commit, and is left out");
            None
        }
        None if env::var("PROFILE").is_ok_and(|profile| profile == "release") => from_git(),
        None => None,
    };
    let version = commit.map_or(version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo:rustc-env=PATWARDEN_VERSION={version}");
}

/// Nothing that could be more than a name.
fn is_plain(commit: &str) -> bool {
    commit.len() <= 64
        && commit.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn from_git() -> Option<String> {
    let folder = env::var("CARGO_MANIFEST_DIR").ok()?;
    // Unpacked inside of somebody else's repository, that one's commit says nothing of us.
    let top = git(&folder, &["rev-parse", "--show-toplevel"])?;
    let same = Path::new(&top).canonicalize().ok()? == Path::new(&folder).canonicalize().ok()?;
    let commit = same.then(|| git(&folder, &["rev-parse", "--short", "HEAD"]))??;
    // Both are written with every commit and checkout. What is not there would be taken for changed each time.
    for name in ["HEAD", "logs/HEAD"] {
        let path = Path::new(&folder).join(git(&folder, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    is_plain(&commit).then_some(commit)
}

fn git(folder: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !said.is_empty()).then_some(said)
}
