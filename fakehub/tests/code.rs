//! Stories about what is in a repository: commits, branches, files at any of them, and where the repository went.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use base64::Engine as _;
use common::{Client, acme, http};
use fakehub::{Access, Changes, Config, Fakehub, Repo, Visibility};
use reqwest::Response;
use serde_json::{Value, json};

const RULES: &str = "schema = 1\n";

/// `acme` with the private repository `policy`, in which the file `rules.toml` is.
async fn policy(config: Config) -> (Fakehub, Client) {
    let (hub, installation) = acme(config).await;
    hub.world(|world| {
        world.add_organization("acme").repository(
            Repo::private("policy").file("rules.toml", RULES).file("docs/why.md", "because\n"),
        );
    });
    let client = Client::installed(&hub, installation).await;
    (hub, client)
}

async fn call(client: &Client, path: &str, headers: &[(&str, &str)]) -> Response {
    let plain = reqwest::Client::builder()
        .user_agent("stories")
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let mut request = plain.get(format!("{}{path}", client.base)).bearer_auth(&client.token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn decoded(file: &Value) -> String {
    let text: String = file["content"].as_str().unwrap().split_whitespace().collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

#[tokio::test]
async fn objects_have_the_names_git_gives_them() {
    let (_hub, client) = policy(Config::default()).await;
    let tree = client.get("/repos/acme/policy/git/trees/main?recursive=1").await.body;
    // As `git hash-object`, `git write-tree` and `git hash-object -t commit` name the same.
    assert_eq!(tree["sha"], "91a1e03e58d58dc19403fc28bbe0b9f807b25523");
    let commit = client.get("/repos/acme/policy/git/ref/heads/main").await.body;
    assert_eq!(commit["object"]["sha"], "4161e1b92a63afb9a44707b884e024061d0da2f9");
    let sha = |path: &str| {
        let entries = tree["tree"].as_array().unwrap();
        entries.iter().find(|entry| entry["path"] == path).unwrap()["sha"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(sha("rules.toml"), "fa8856e6bf41b045e2bb4b875674caaae1fa0e1b");
    assert_eq!(sha("docs/why.md"), "24e0fb5cf15a57026b8afee0fc63eec242031ebb");
    assert_eq!(tree["truncated"], false);
    let top = client.get("/repos/acme/policy/git/trees/main").await.body;
    assert_eq!(top["tree"].as_array().unwrap().len(), 2, "a folder and a file");
    assert_eq!(top["sha"], tree["sha"]);
    let folder = client.get(&format!("/repos/acme/policy/git/trees/{}", sha("docs"))).await.body;
    assert_eq!(folder["tree"][0]["path"], "why.md");
    let blob = client.get(&format!("/repos/acme/policy/git/blobs/{}", sha("rules.toml"))).await;
    assert_eq!(decoded(&blob.body), RULES);
    assert_eq!(client.get("/repos/acme/policy/git/blobs/0000").await.status, 404);
}

#[tokio::test]
async fn a_file_is_read_at_the_commit_a_name_stood_for() {
    let (hub, client) = policy(Config::default()).await;
    let first = hub.sha("acme", "policy", "main").unwrap();
    let second = hub
        .commit("acme", "policy", "main", "olga", "Tighten", [("rules.toml", Some("schema = 2\n"))])
        .unwrap();
    let at = async |name: &str| {
        let path = format!("/repos/acme/policy/contents/rules.toml?ref={name}");
        decoded(&client.get(&path).await.body)
    };
    assert_eq!(at(&first).await, RULES);
    for name in ["main", "refs/heads/main", &second] {
        assert_eq!(at(name).await, "schema = 2\n", "{name}");
    }
    let unknown = client.get("/repos/acme/policy/contents/rules.toml?ref=nowhere").await;
    assert_eq!(unknown.status, 404);
    let reference = client.get("/repos/acme/policy/git/ref/heads/main").await.body;
    assert_eq!(reference["object"]["sha"], second.as_str());
    assert_eq!(client.get("/repos/acme/policy/git/ref/heads/mai").await.status, 404);
    let branch = client.get("/repos/acme/policy/branches/main").await.body;
    assert_eq!(branch["commit"]["sha"], second.as_str());
    let commit = client.get("/repos/acme/policy/commits/main").await.body;
    assert_eq!(commit["parents"][0]["sha"], first.as_str());
    assert_eq!(commit["files"][0]["filename"], "rules.toml");
    assert_eq!(commit["author"]["login"], "olga");
    let sha = call(
        &client,
        "/repos/acme/policy/commits/heads/main",
        &[("accept", "application/vnd.github.sha")],
    );
    assert_eq!(sha.await.text().await.unwrap(), second);
    assert_eq!(client.get("/repos/acme/policy/commits/nowhere").await.status, 422);
    assert_eq!(hub.calls_of("git/get-ref").len(), 2);
}

#[tokio::test]
async fn the_default_branch_is_whatever_the_owners_say() {
    let (hub, client) = policy(Config::default()).await;
    let changes = [("rules.toml", Some("schema = 3\n"))];
    hub.commit("acme", "policy", "release", "olga", "Release", changes).unwrap();
    assert!(hub.set_default_branch("acme", "policy", "none").is_err());
    hub.set_default_branch("acme", "policy", "release").unwrap();
    assert_eq!(client.get("/repos/acme/policy").await.body["default_branch"], "release");
    let file = client.get("/repos/acme/policy/contents/rules.toml").await.body;
    assert_eq!(decoded(&file), "schema = 3\n");
}

#[tokio::test]
async fn what_has_not_changed_costs_nothing() {
    let (hub, client) = policy(Config::default().rules_in_a_repository()).await;
    for path in [
        "/repos/acme/policy/git/ref/heads/main",
        "/repos/acme/policy/contents/rules.toml",
        "/repos/acme/policy/commits/main",
        "/repos/acme/policy/git/trees/main",
        "/repos/acme/policy/pulls",
        "/repos/acme/policy",
    ] {
        let first = client.get(path).await;
        let (tag, left) = (first.header("etag"), first.header("x-ratelimit-remaining"));
        let again = call(&client, path, &[("if-none-match", tag.unwrap())]).await;
        assert_eq!(again.status(), 304, "{path}");
        assert_eq!(again.headers()["x-ratelimit-remaining"].to_str().ok(), left, "{path}");
    }
    let path = "/repos/acme/policy/git/ref/heads/main";
    let tag = client.get(path).await.header("etag").unwrap().to_owned();
    hub.commit("acme", "policy", "main", "olga", "More", [("more.toml", Some(""))]).unwrap();
    assert_eq!(call(&client, path, &[("if-none-match", &tag)]).await.status(), 200);
}

#[tokio::test]
async fn large_files_come_raw_only_and_larger_ones_not_at_all() {
    let (hub, client) = policy(Config::default()).await;
    let changes = Changes::new()
        .write("large.bin", vec![0xff; 1024 * 1024 + 1])
        .write("huge.bin", vec![0; 100 * 1024 * 1024 + 1]);
    hub.commit("acme", "policy", "main", "olga", "Large", changes).unwrap();
    let large = client.get("/repos/acme/policy/contents/large.bin").await.body;
    assert_eq!((&large["content"], &large["encoding"]), (&json!(""), &json!("none")));
    let raw = call(
        &client,
        "/repos/acme/policy/contents/large.bin",
        &[("accept", "application/vnd.github.raw+json")],
    );
    assert_eq!(raw.await.bytes().await.unwrap().len(), 1024 * 1024 + 1);
    assert_eq!(client.get("/repos/acme/policy/contents/huge.bin").await.status, 403);
}

#[tokio::test]
async fn folders_are_lists_and_an_empty_repository_says_so() {
    let (hub, client) = policy(Config::default()).await;
    let names = async |path: &str| -> Vec<String> {
        let body = client.get(path).await.body;
        let names = body.as_array().unwrap().iter();
        names.map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("/repos/acme/policy/contents").await, ["docs", "rules.toml"]);
    assert_eq!(names("/repos/acme/policy/contents/").await, ["docs", "rules.toml"]);
    assert_eq!(names("/repos/acme/policy/contents/docs").await, ["docs/why.md"]);
    assert_eq!(client.get("/repos/acme/policy/contents/none").await.status, 404);
    assert_eq!(client.get("/repos/acme/web/contents/rules.toml").await.status, 404);
    assert_eq!(client.get("/repos/acme/web/git/ref/heads/main").await.status, 409);
    assert_eq!(client.get("/repos/acme/web/commits/main").await.status, 409);
    hub.commit("acme", "web", "main", "kim", "Begin", [("a", Some("a"))]).unwrap();
    assert_eq!(client.get("/repos/acme/web/git/ref/heads/main").await.status, 200);
}

#[tokio::test]
async fn a_repository_handed_over_keeps_its_id_and_goes_out_of_reach() {
    let (hub, client) = policy(Config::default()).await;
    let id = client.get("/repos/acme/policy").await.body["id"].clone();
    hub.transfer_repository("acme", "policy", "other").unwrap();
    for path in ["/repos/acme/policy".to_owned(), format!("/repositories/{id}")] {
        assert_eq!(client.get(&path).await.status, 404, "{path}");
    }
    let other = Client::installed(&hub, hub.install("other").unwrap()).await;
    let there = other.get(&format!("/repositories/{id}")).await.body;
    assert_eq!((&there["owner"]["login"], &there["id"]), (&json!("other"), &id));
    hub.set_visibility("other", "policy", Visibility::Public).unwrap();
    let moved = call(&client, "/repos/acme/policy/contents/rules.toml", &[]).await;
    assert_eq!(moved.status(), 301, "everybody can see it now");
    assert_eq!(client.get(&format!("/repositories/{id}")).await.body["visibility"], "public");
    hub.delete_repository("other", "policy").unwrap();
    assert_eq!(client.get("/repos/acme/policy").await.status, 404);
    hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("policy"));
    });
    assert_ne!(client.get("/repos/acme/policy").await.body["id"], id, "another one");
}

#[tokio::test]
async fn an_installation_on_chosen_repositories_sees_no_others() {
    let (hub, client) = policy(Config::default()).await;
    hub.choose_repositories("acme", Some(&["web"])).unwrap();
    assert_eq!(client.get("/repos/acme/policy/contents/rules.toml").await.status, 404);
    assert_eq!(client.get("/repos/acme/web").await.status, 200);
    assert_eq!(client.get("/repos/acme/docs").await.status, 200, "a public one");
    let given = client.get("/installation/repositories").await.body;
    assert_eq!(
        (&given["total_count"], &given["repositories"][0]["name"]),
        (&json!(1), &json!("web"))
    );
    let app = Client::app(&hub);
    let installation = app.get("/orgs/acme/installation").await.body;
    assert_eq!(installation["repository_selection"], "selected");
    hub.choose_repositories("acme", None).unwrap();
    assert_eq!(client.get("/repos/acme/policy").await.status, 200);
}

#[tokio::test]
async fn a_role_is_the_strongest_of_all_there_are() {
    let (hub, client) = policy(Config::default()).await;
    hub.world(|world| {
        world.add_user("stranger");
        world.add_organization("acme").team_access("policy", "platform", Access::Maintain);
    });
    let role = async |login: &str| {
        let path = format!("/repos/acme/policy/collaborators/{login}/permission");
        let body = client.get(&path).await.body;
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (text("permission"), text("role_name"))
    };
    let is = |permission: &str, role: &str| (permission.to_owned(), role.to_owned());
    assert_eq!(role("olga").await, is("admin", "admin"), "an owner");
    assert_eq!(role("ada").await, is("read", "read"), "a member");
    assert_eq!(role("mo").await, is("write", "maintain"), "of the child team");
    assert_eq!(role("stranger").await, is("none", "none"));
    hub.set_collaborator("acme", "policy", "stranger", Some(Access::Triage)).unwrap();
    assert_eq!(role("stranger").await, is("read", "triage"));
    let nobody = client.get("/repos/acme/policy/collaborators/nobody/permission").await;
    assert_eq!(nobody.status, 404);
}

#[tokio::test]
async fn each_kind_of_data_needs_its_permission() {
    let (hub, _) = policy(Config::default()).await;
    let installation = hub.install_with("acme", [("metadata", "read")]).unwrap();
    let client = Client::installed(&hub, installation).await;
    for (path, needed) in [
        ("contents/rules.toml", "contents=read"),
        ("git/ref/heads/main", "contents=read"),
        ("branches/main", "contents=read"),
        ("commits/main", "contents=read"),
        ("pulls", "pull_requests=read"),
        ("commits/main/check-runs", "checks=read"),
    ] {
        let refused = client.get(&format!("/repos/acme/policy/{path}")).await;
        assert_eq!(refused.status, 403, "{path}");
        assert_eq!(refused.header("x-accepted-github-permissions"), Some(needed), "{path}");
        assert_eq!(refused.body["message"], "Resource not accessible by integration");
    }
    let write = client.post("/repos/acme/policy/check-runs", json!({})).await;
    assert_eq!(write.header("x-accepted-github-permissions"), Some("checks=write"));
    let anybody =
        http().post(format!("{}/repos/acme/docs/check-runs", hub.api_url())).json(&json!({}));
    assert_eq!(anybody.send().await.unwrap().status(), 401, "public is to be read only");
}
