//! Stories about people, teams and repositories, and the two ready-made organizations.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use common::{Client, acme, http};
use fakehub::{Config, Fakehub, PropertyDefinition, Repo, Visibility, worlds};
use serde_json::{Value, json};

fn logins(body: &Value) -> Vec<&str> {
    body.as_array().unwrap().iter().map(|user| user["login"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn members_of_child_teams_count_and_owners_read_as_maintainers() {
    let (hub, installation) = acme(Config::default()).await;
    hub.world(|world| {
        world.add_organization("acme").team("platform", ["olga"]).maintainer("platform", "lee");
    });
    let client = Client::installed(&hub, installation).await;
    let members = client.get("/orgs/acme/teams/platform/members").await;
    assert_eq!(logins(&members.body), ["olga", "kim", "lee", "mo"]);
    let role = async |login: &str| {
        let answer = client.get(&format!("/orgs/acme/teams/platform/memberships/{login}")).await;
        (answer.status, answer.body["role"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(role("mo").await, (200, "member".into()), "a member of the child team");
    assert_eq!(role("olga").await, (200, "maintainer".into()), "an owner");
    assert_eq!(role("lee").await, (200, "maintainer".into()));
    assert_eq!(role("ada").await.0, 404);
    assert_eq!(client.get("/orgs/acme/teams/nobody/members").await.status, 404);
    hub.remove_team_member("acme", "platform", "kim").unwrap();
    assert_eq!(role("kim").await.0, 404);
}

#[tokio::test]
async fn memberships_name_role_and_state() {
    let (hub, installation) = acme(Config::default()).await;
    hub.world(|world| {
        world.add_organization("acme").billing_manager("bea").invited("ivy");
        world.add_user("stranger");
    });
    let client = Client::installed(&hub, installation).await;
    for (login, role, state) in [
        ("OLGA", "admin", "active"),
        ("kim", "member", "active"),
        ("bea", "billing_manager", "active"),
        ("ivy", "member", "pending"),
    ] {
        let body = client.get(&format!("/orgs/acme/memberships/{login}")).await.body;
        assert_eq!((&body["role"], &body["state"]), (&json!(role), &json!(state)));
    }
    assert_eq!(client.get("/orgs/acme/memberships/stranger").await.status, 404);
    assert_eq!(client.get("/orgs/acme/memberships/unknown").await.status, 404);
    let owners = client.get("/orgs/acme/members?role=admin").await;
    assert_eq!(logins(&owners.body), ["olga"]);
    assert_eq!(client.get("/orgs/acme/members/bea").await.status, 404);
}

#[tokio::test]
async fn custom_properties_have_defaults_and_can_be_searched() {
    let (hub, installation) = acme(Config::default()).await;
    hub.world(|world| {
        let mut acme = world.add_organization("acme");
        acme.property_definition(PropertyDefinition {
            name: "tier".into(),
            value_type: "single_select".into(),
            required: true,
            default_value: Some("standard".into()),
            allowed_values: vec!["critical".into(), "standard".into()],
        });
        acme.repository(Repo::private("billing").property("tier", "critical").topics(["sox"]));
    });
    let client = Client::installed(&hub, installation).await;
    let of =
        async |name: &str| client.get(&format!("/repos/acme/{name}/properties/values")).await.body;
    assert_eq!(of("billing").await, json!([{ "property_name": "tier", "value": "critical" }]));
    assert_eq!(of("web").await, json!([{ "property_name": "tier", "value": "standard" }]));
    let found =
        client.get("/orgs/acme/properties/values?repository_query=props.tier:critical").await;
    assert_eq!(found.body.as_array().unwrap().len(), 1);
    assert_eq!(found.body[0]["repository_name"], "billing");
    let schema = client.get("/orgs/acme/properties/schema").await;
    assert_eq!(schema.body[0]["allowed_values"], json!(["critical", "standard"]));
}

#[tokio::test]
async fn files_are_served_in_base_64_and_raw() {
    let (hub, installation) = acme(Config::default()).await;
    let text = "schema = 1\n".repeat(20);
    hub.world(|world| {
        world.add_organization("acme").file("web", "policy/patwarden.toml", &text);
    });
    let client = Client::installed(&hub, installation).await;
    let path = "/repos/acme/web/contents/policy/patwarden.toml";
    let file = client.get(path).await;
    assert_eq!(
        (&file.body["encoding"], &file.body["size"]),
        (&json!("base64"), &json!(text.len()))
    );
    assert!(file.body["content"].as_str().unwrap().trim_end().contains('\n'), "broken into lines");
    let raw = http()
        .get(format!("{}{path}", hub.api_url()))
        .bearer_auth(&client.token)
        .header("accept", "application/vnd.github.raw+json")
        .send()
        .await
        .unwrap();
    assert!(raw.headers().contains_key("etag"));
    assert_eq!(raw.text().await.unwrap(), text);
    assert_eq!(
        client.get("/repos/acme/web/contents/policy").await.body[0]["name"],
        "patwarden.toml"
    );
    assert_eq!(client.get("/repos/acme/web/contents/none").await.status, 404);
}

#[tokio::test]
async fn a_renamed_repository_is_redirected_to_its_number() {
    let (hub, installation) = acme(Config::default()).await;
    let id = hub.world(|world| {
        world
            .add_organization("acme")
            .file("web", "rules.toml", "x")
            .rename_repository("web", "site");
        world.organization("acme").unwrap().repository("site").unwrap().id
    });
    let client = Client::installed(&hub, installation).await;
    let plain = reqwest::Client::builder()
        .user_agent("stories")
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let moved = plain.unwrap().get(format!("{}/repos/acme/web/contents/rules.toml", hub.api_url()));
    let moved = moved.bearer_auth(&client.token).send().await.unwrap();
    assert_eq!(moved.status(), 301);
    let to = moved.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(to, format!("{}/repositories/{id}/contents/rules.toml", hub.api_url()));
    assert_eq!(client.get(&to).await.status, 200);
    assert_eq!(client.get(&format!("/repositories/{id}")).await.body["name"], "site");
    assert_eq!(client.get("/repositories/1").await.status, 404);
    // Another repository may take the old name.
    hub.world(|world| {
        world.add_organization("acme").repository(Repo::private("web"));
    });
    assert_ne!(client.get("/repos/acme/web").await.body["id"], id);
}

#[tokio::test]
async fn the_newer_api_version_lists_repositories_without_downloads() {
    let (hub, installation) = acme(Config::default()).await;
    let client = Client::installed(&hub, installation).await;
    let repos = async |version: &str| {
        let call =
            http().get(format!("{}/orgs/acme/repos", hub.api_url())).bearer_auth(&client.token);
        call.header("x-github-api-version", version)
            .send()
            .await
            .unwrap()
            .json::<Value>()
            .await
            .unwrap()
    };
    assert!(repos("2022-11-28").await[0].get("has_downloads").is_some());
    assert!(repos("2026-03-10").await[0].get("has_downloads").is_none());
}

#[tokio::test]
async fn the_demonstration_is_a_believable_company_and_a_foundation() {
    let hub = Fakehub::start(Config::default()).await.unwrap();
    hub.world(worlds::demo);
    worlds::demo_tokens(&hub).unwrap();
    let installation = hub.install("acme").unwrap();
    hub.world(|world| {
        let acme = world.organization("acme").unwrap();
        assert!(acme.members.len() >= 40 && acme.repositories.len() >= 60);
        assert_eq!(acme.members.keys().filter(|user| acme.is_owner(**user)).count(), 3);
        assert!(acme.team_members("developers").len() > acme.teams["developers"].members.len());
        for name in [".github", ".github-private", "web", "api", "billing", "release-tools"] {
            assert!(acme.repository(name).is_some(), "{name}");
        }
        assert!(acme.members.keys().all(|id| world_name(world, *id)));
        let examplejs = world.organization("examplejs").unwrap();
        assert_eq!(examplejs.repository("website").unwrap().visibility, Visibility::Public);
        for team in ["collaborators", "triagers", "tsc"] {
            assert!(examplejs.teams.contains_key(team));
        }
    });
    let client = Client::installed(&hub, installation).await;
    assert!(client.get("/orgs/acme/personal-access-tokens").await.ids().len() >= 6);
}

/// Whether a person has a human name.
fn world_name(world: &fakehub::World, id: u64) -> bool {
    world.users().any(|user| user.id == id && user.name.is_some())
}

#[tokio::test]
async fn the_small_world_is_small() {
    let hub = Fakehub::start(Config::default()).await.unwrap();
    hub.world(worlds::small);
    hub.install("acme").unwrap();
    assert_eq!(hub.world(|world| world.organization("acme").unwrap().members.len()), 4);
    hub.shutdown().await;
    let again = reqwest::get(hub.api_url()).await;
    assert!(again.is_err(), "after the end nobody listens");
}
