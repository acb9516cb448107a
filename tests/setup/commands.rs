//! `patwarden setup` and `patwarden serve` as processes: where nothing is said of an App, and where something is.

use std::{path::Path, process::Stdio, time::Duration};

use reqwest::StatusCode;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::Stage;

/// `patwarden` with these words in that folder, and nothing in its environment but this.
fn patwarden(folder: &Path, words: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patwarden"));
    command.args(words).current_dir(folder).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_without_an_app_offers_the_page_and_goes_on_with_what_was_registered() {
    let mut stage = Stage::open().await;
    stage.stop.cancel();
    let api = stage.hub.api_url();
    std::fs::create_dir(stage.path("")).unwrap();
    let environment = [("GITHUB_API_URL", api.as_str()), ("PATWARDEN_LISTEN", "127.0.0.1:0")];
    let mut serve = patwarden(&stage.path(""), &["serve"], &environment).spawn().unwrap();
    let mut lines = BufReader::new(serve.stdout.take().unwrap()).lines();
    let mut until = async |mark: &str| loop {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        let line = line.expect("it says more").unwrap().expect("it goes on");
        if line.contains(mark) {
            break line;
        }
    };
    until("Nothing is said of an App").await;
    let open = until("Open http://").await;
    let url = open.split(' ').nth(1).unwrap();
    let (address, _) = url.trim_start_matches("http://").split_once('/').unwrap();
    stage.address = address.parse().unwrap();
    stage.cookie = stage.get(url).await.cookie();
    let back = stage.sent_back().await;
    assert_eq!(stage.get(&back).await.status, StatusCode::OK);
    until("patwarden receives webhooks at").await;
    let record = stage.path("patwarden.sqlite");
    assert!(record.exists(), "the record is where the settings file says");
    // And the next time it says where what was written is.
    let again = patwarden(&stage.path(""), &["serve"], &environment).output().await.unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("start with --config patwarden.toml"), "{said}");
    assert_eq!(again.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_not_registered_where_one_is_named_or_other_settings_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |words: &[&str], environment: &[(&str, &str)]| {
        let ended = patwarden(folder.path(), words, environment).output();
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        let ended = ended.expect("it ends by itself").unwrap();
        (String::from_utf8(ended.stderr).unwrap(), ended.status.code())
    };
    for name in ["GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY", "GITHUB_WEBHOOK_SECRET"] {
        let (said, code) = run(&["setup", "--listen", "127.0.0.1:0"], &[(name, "7")]).await;
        assert!(code == Some(2) && said.contains(name), "{name}: {said}");
    }
    let (said, code) = run(&["serve"], &[("GITHUB_APP_ID", "7")]).await;
    assert!(code == Some(2) && said.contains("GITHUB_APP_PRIVATE_KEY_PATH"), "{said}");
    let (said, code) = run(&["serve"], &[("PATWARDEN_LISTEN", "everywhere")]).await;
    assert!(code == Some(2) && said.contains("PATWARDEN_LISTEN"), "{said}");
    let api = ("GITHUB_API_URL", "http://ghe.example/api/v3");
    let (said, code) = run(&["setup", "--listen", "127.0.0.1:0"], &[api]).await;
    assert!(code == Some(2) && said.contains("in the clear"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
