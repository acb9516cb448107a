//! Ready-made organizations to try things in: a small one, and the two of the demonstration. Only data and how it is put in.

mod acme;
mod examplejs;

use std::time::Duration;

use crate::error::Error;
use crate::hub::Fakehub;
use crate::tokens::TokenSpec;
use crate::world::{Repo, World};

/// `acme` with the owner `olga`, the team `platform` (`kim`, `lee`), the member `ada`, and the private repositories
/// `web` and `api`, the public `docs` and `.github-private`.
pub fn small(world: &mut World) {
    world
        .add_organization("acme")
        .owner("olga")
        .team("platform", ["kim", "lee"])
        .member("ada")
        .repositories([
            Repo::private("web"),
            Repo::private("api"),
            Repo::public("docs"),
            Repo::private(".github-private"),
        ]);
}

/// A company, `acme`, and a foundation, `examplejs`.
pub fn demo(world: &mut World) {
    acme::fill(world);
    examplejs::fill(world);
}

/// Tokens that were approved before the demonstration begins: used, unused, about to expire, for ever.
///
/// # Errors
/// When [`demo`] did not fill the world.
pub fn demo_tokens(hub: &Fakehub) -> Result<(), Error> {
    let days_ago = |days: u64| hub.now() - Duration::from_secs(days * 86_400);
    let read = |login: &str, name: &str| {
        TokenSpec::by(login).named(name).repository_permission("contents", "read")
    };
    let acme = [
        read("kim", "nightly-build")
            .on(["web", "api"])
            .since(days_ago(80))
            .lasting_days(90)
            .last_used(days_ago(1)),
        read("tomas", "license-scan")
            .on_all()
            .since(days_ago(200))
            .lasting_days(365)
            .last_used(days_ago(3)),
        read("yara", "laptop")
            .on(["data-lake", "dbt-models"])
            .since(days_ago(120))
            .lasting_days(180),
        read("jonas", "old-dashboard")
            .on(["dashboards"])
            .since(days_ago(300))
            .never_expires()
            .last_used(days_ago(140)),
        TokenSpec::by("priya")
            .named("release-notes")
            .on(["release-tools"])
            .repository_permission("contents", "write")
            .repository_permission("pull_requests", "write")
            .since(days_ago(27))
            .lasting_days(30)
            .last_used(days_ago(2)),
        TokenSpec::by("lena")
            .named("org-report")
            .on_none()
            .organization_permission("members", "read")
            .since(days_ago(40))
            .lasting_days(60)
            .last_used(days_ago(8)),
    ];
    for spec in acme {
        hub.grant_token("acme", spec)?;
    }
    let examplejs = [
        read("nadia", "triage-bot")
            .on(["core"])
            .repository_permission("issues", "write")
            .since(days_ago(10)),
        read("hiro", "website-deploy")
            .on(["website"])
            .since(days_ago(88))
            .lasting_days(90)
            .last_used(days_ago(5)),
    ];
    for spec in examplejs {
        hub.grant_token("examplejs", spec)?;
    }
    Ok(())
}
