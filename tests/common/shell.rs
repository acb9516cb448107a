//! Commands as people type them: the real binary on a scene's GitHub, store and rules. No assertions about what they say.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use super::{Scene, soon};

/// The lines of the README between these marks.
pub fn lines(mark: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once(&format!("<!-- {mark} -->")).expect("the README has it");
    let (part, _) = rest.split_once(&format!("<!-- /{mark} -->")).expect("and its end");
    let line = |line: &str| {
        let command = line.split("   #").next().unwrap_or_default().trim();
        command.starts_with("patwarden ").then(|| command.to_owned())
    };
    part.lines().filter_map(line).collect()
}

/// The words of a line, as a shell takes it apart; what comes after `>` is a file.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A line as a process on this scene's GitHub and store, with the rules of the bot.
pub fn command(scene: &Scene, line: &str) -> Command {
    let words = words(line);
    assert_eq!(words[0], "patwarden", "{line}");
    let end = words.iter().position(|word| word == ">").unwrap_or(words.len());
    let mut command = Command::new(env!("CARGO_BIN_EXE_patwarden"));
    command
        .args(&words[1..end])
        .env_clear()
        .envs([
            ("GITHUB_APP_ID", scene.hub.app().id.to_string()),
            ("GITHUB_APP_PRIVATE_KEY_PATH", scene.path("app.pem").display().to_string()),
            ("GITHUB_API_URL", scene.hub.api_url()),
            ("PATWARDEN_DATABASE_URL", format!("sqlite:{}", scene.store_path().display())),
            ("PATWARDEN_RULES", scene.path("rules.toml").display().to_string()),
            ("PATWARDEN_WRITE_INTERVAL", "10ms".to_owned()),
            ("USER", "olga".to_owned()),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a line, with this typed. What it says, and its exit code.
pub async fn run(scene: &Scene, line: &str, typed: &str) -> (String, String, i32) {
    let mut child = command(scene, line).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let ended = soon(line, tokio::task::spawn_blocking(move || child.wait_with_output())).await;
    said(ended.unwrap().unwrap())
}

/// What a process said, and its exit code.
pub fn said(output: Output) -> (String, String, i32) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().expect("not killed"))
}
