//! `examplejs`: a foundation whose work is public.

use crate::world::{Repo, World};

const PEOPLE: [(&str, &str); 20] = [
    ("ruth", "Ruth Abebe"),
    ("anders", "Anders Holm"),
    ("nadia", "Nadia Rahimi"),
    ("hiro", "Hiro Matsuda"),
    ("paulo", "Paulo Teixeira"),
    ("sofia", "Sofia Kowalska"),
    ("tariq", "Tariq Aziz"),
    ("leonie", "Leonie Brandt"),
    ("callum", "Callum Reid"),
    ("mei", "Mei Chen"),
    ("arjun", "Arjun Patel"),
    ("beatriz", "Beatriz Lima"),
    ("cedric", "Cédric Laurent"),
    ("dalia", "Dalia Stern"),
    ("ewan", "Ewan Fraser"),
    ("fatou", "Fatou Diop"),
    ("gabor", "Gábor Kiss"),
    ("hetty", "Hetty Jansen"),
    ("imran", "Imran Sheikh"),
    ("release-bot", "Release bot"),
];

const TEAMS: [(&str, &[&str]); 4] = [
    ("tsc", &["ruth", "anders", "mei", "paulo"]),
    (
        "collaborators",
        &[
            "hiro", "sofia", "tariq", "leonie", "callum", "arjun", "beatriz", "cedric", "dalia",
            "ewan",
        ],
    ),
    ("triagers", &["nadia", "fatou", "gabor", "hetty", "imran"]),
    ("releasers", &["anders", "release-bot"]),
];

const PUBLIC: [&str; 24] = [
    ".github",
    "core",
    "cli",
    "loader",
    "parser",
    "compiler",
    "runtime",
    "types",
    "test-runner",
    "benchmarks",
    "citgm",
    "docs",
    "website",
    "website-theme",
    "translations",
    "admin",
    "tsc",
    "governance",
    "release-keys",
    "release-scripts",
    "release-schedule",
    "docker-images",
    "changelog-maker",
    "community",
];

const PRIVATE: [&str; 5] =
    [".github-private", "tsc-private", "security-reports", "release-signing", "moderation"];

pub(super) fn fill(world: &mut World) {
    for (login, name) in PEOPLE {
        world.add_user(login).name = Some(name.to_owned());
    }
    let mut examplejs = world.add_organization("examplejs");
    examplejs
        .described("A foundation for a language runtime that does not exist")
        .members(PEOPLE.iter().map(|(login, _)| *login))
        .owners(["ruth", "anders"]);
    for (slug, members) in TEAMS {
        examplejs.team(slug, members);
    }
    examplejs.maintainer("tsc", "mei");
    for name in PUBLIC {
        let topic = if name.starts_with("release-") { "release" } else { "examplejs" };
        examplejs.repository(Repo::public(name).topics([topic]));
    }
    for name in PRIVATE {
        examplejs.repository(Repo::private(name));
    }
}
