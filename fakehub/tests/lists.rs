//! Stories about lists: paging, filters, order, prefixes, conditional requests, and a hundred thousand rows.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a story may stop at the first surprise"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Client, acme, http};
use fakehub::{Config, Fakehub, TokenSpec};

const REQUESTS: &str = "/orgs/acme/personal-access-token-requests";
const GRANTS: &str = "/orgs/acme/personal-access-tokens";

fn ask(hub: &Fakehub, count: usize) -> Vec<u64> {
    let spec = |_| TokenSpec::by("kim").on(["web"]).repository_permission("contents", "read");
    (0..count).map(|number| hub.request_token("acme", spec(number)).unwrap().request_id).collect()
}

#[tokio::test]
async fn pages_are_followed_by_link_to_the_last_one() {
    let (hub, installation) = acme(Config::default()).await;
    let mut asked = ask(&hub, 65);
    asked.reverse();
    let client = Client::installed(&hub, installation).await;
    let first = client.get(REQUESTS).await;
    assert_eq!(first.ids().len(), 30, "the default page");
    assert_eq!(first.link("prev"), None);
    let last = first.link("last").unwrap();
    assert!(last.starts_with(&hub.api_url()) && last.ends_with("page=3"), "{last}");

    let mut seen = first.ids();
    let mut next = first.link("next");
    while let Some(url) = next {
        assert!(url.contains("/organizations/"), "links name the organization by number: {url}");
        let page = client.get(&url).await;
        seen.extend(page.ids());
        assert!(page.link("first").is_some() && page.link("prev").is_some());
        next = page.link("next");
    }
    assert_eq!(seen, asked, "newest first, nothing twice, nothing lost");
    assert!(client.get(&format!("{REQUESTS}?page=9")).await.ids().is_empty());
}

#[tokio::test]
async fn a_page_holds_at_most_a_hundred_rows_and_one_page_has_no_link() {
    let (hub, installation) = acme(Config::default()).await;
    ask(&hub, 101);
    let client = Client::installed(&hub, installation).await;
    let page = client.get(&format!("{REQUESTS}?per_page=101")).await;
    assert_eq!(page.ids().len(), 100);
    assert!(
        page.link("next").unwrap().contains("per_page=101"),
        "parameters are repeated as they came"
    );
    assert_eq!(client.get(GRANTS).await.header("link"), None);
}

#[tokio::test]
async fn links_keep_the_prefix_of_an_enterprise_server() {
    let (hub, installation) = acme(Config::default()).await;
    ask(&hub, 40);
    let mut client = Client::installed(&hub, installation).await;
    client.base = hub.ghes_url();
    let page = client.get(REQUESTS).await;
    let next = page.link("next").unwrap();
    assert!(next.starts_with(&hub.ghes_url()), "{next}");
    assert_eq!(client.get(&next).await.ids().len(), 10);
    assert!(page.body[0]["repositories_url"].as_str().unwrap().starts_with(&hub.ghes_url()));
    hub.switches(|switches| switches.numeric_links = false);
    assert!(client.get(REQUESTS).await.link("next").unwrap().contains("/orgs/acme/"));
}

#[tokio::test]
async fn filters_of_both_lists() {
    let (hub, installation) = acme(Config::default()).await;
    let day = Duration::from_secs(86_400);
    let make = |spec: TokenSpec| hub.grant_token("acme", spec).unwrap();
    let kim = make(
        TokenSpec::by("kim")
            .on(["web"])
            .repository_permission("issues", "read")
            .last_used(hub.now() - day * 9),
    );
    let lee = make(
        TokenSpec::by("lee")
            .on_all()
            .repository_permission("issues", "write")
            .last_used(hub.now() - day),
    );
    let ada = make(TokenSpec::by("ada").on_none().organization_permission("members", "read"));
    let client = Client::installed(&hub, installation).await;
    let find = async |query: &str| {
        let mut ids = client.get(&format!("{GRANTS}?{query}")).await.ids();
        ids.sort_unstable();
        ids
    };
    let id = |one: fakehub::RequestIds| one.grant_id.unwrap();
    assert_eq!(find("owner[]=KIM&owner[]=ada").await, [id(kim), id(ada)]);
    assert!(find("owner%5B%5D=nobody").await.is_empty());
    assert_eq!(
        find("repository=web").await,
        [id(kim), id(lee)],
        "a token for all is for this one too"
    );
    assert_eq!(find("repository=api").await, [id(lee)]);
    assert!(find("repository=unknown").await.is_empty());
    assert_eq!(find("permission=issues_read").await, [id(kim)]);
    assert_eq!(find("permission=members_read").await, [id(ada)]);
    assert_eq!(
        find(&format!("token_id[]={}&token_id[]={}", lee.token_id, ada.token_id)).await,
        [id(lee), id(ada)]
    );
    assert!(find("token_id[]=1").await.is_empty());
    let before = (hub.now() - day * 5).to_string();
    assert_eq!(
        find(&format!("last_used_before={before}")).await,
        [id(kim)],
        "never used is not before"
    );
    assert_eq!(find(&format!("last_used_after={before}")).await, [id(lee)]);
    hub.switches(|switches| switches.never_used_matches_last_used_before = true);
    assert_eq!(find(&format!("last_used_before={before}")).await, [id(kim), id(ada)]);

    assert_eq!(
        client.get(&format!("{GRANTS}?direction=asc")).await.ids(),
        [id(kim), id(lee), id(ada)]
    );
    assert_eq!(
        client.get(&format!("{GRANTS}?sort=created_at")).await.ids(),
        [id(ada), id(lee), id(kim)]
    );
    let many =
        |name: &str, count: usize| format!("{GRANTS}?{}", format!("{name}[]=1&").repeat(count));
    for refused in [
        format!("{GRANTS}?sort=name"),
        format!("{GRANTS}?direction=up"),
        format!("{GRANTS}?last_used_before=yesterday"),
        many("token_id", 51),
        many("owner", 11),
    ] {
        assert_eq!(client.get(&refused).await.status, 422, "{refused}");
    }
}

#[tokio::test]
async fn numeric_organizations_and_upper_case_work() {
    let (hub, installation) = acme(Config::default()).await;
    let ids = ask(&hub, 1);
    let organization = hub.world(|world| world.organization("acme").unwrap().id);
    let client = Client::installed(&hub, installation).await;
    let by_number =
        client.get(&format!("/organizations/{organization}/personal-access-token-requests")).await;
    assert_eq!(by_number.ids(), ids);
    assert_eq!(client.get("/orgs/AcMe/personal-access-token-requests").await.ids(), ids);
    assert_eq!(client.get("/organizations/1/personal-access-token-requests").await.status, 404);
}

#[tokio::test]
async fn an_unchanged_list_is_a_304_and_costs_nothing() {
    let (hub, installation) = acme(Config::default()).await;
    let client = Client::installed(&hub, installation).await;
    let first = client.get("/orgs/acme/members").await;
    let tag = first.header("etag").unwrap().to_owned();
    let again = http()
        .get(format!("{}/orgs/acme/members", hub.api_url()))
        .bearer_auth(&client.token)
        .header("if-none-match", &tag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()["x-ratelimit-used"], first.header("x-ratelimit-used").unwrap());
}

#[tokio::test]
async fn a_hundred_thousand_grants_are_listed_and_found() {
    let (hub, installation) = acme(Config::default().rate_limit(None)).await;
    let mut last = None;
    for number in 0..100_000 {
        let spec = TokenSpec::by(["kim", "lee", "mo"][number % 3])
            .on(["web"])
            .repository_permission("contents", "read");
        last = Some(hub.grant_token("acme", spec).unwrap());
    }
    let client = Client::installed(&hub, installation).await;
    let began = Instant::now();
    let page = client.get(&format!("{GRANTS}?per_page=100&page=1000&direction=asc")).await;
    assert_eq!(page.ids().last(), Some(&last.unwrap().grant_id.unwrap()));
    let found = client.get(&format!("{GRANTS}?token_id[]={}", last.unwrap().token_id)).await;
    assert_eq!(found.ids().len(), 1);
    assert!(began.elapsed() < Duration::from_secs(5), "even in a debug build on a busy machine");
}
