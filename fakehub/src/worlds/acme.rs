//! `acme`: a company of forty-three people and sixty repositories.

use serde_json::json;

use crate::world::{PropertyDefinition, Repo, World};

/// Login, name, minutes east of UTC.
const PEOPLE: [(&str, &str, i32); 43] = [
    ("olga", "Olga Petrova", 60),
    ("martin", "Martin Okafor", 60),
    ("grace", "Grace Lindqvist", 60),
    ("kim", "Kim Larsen", 60),
    ("lee", "Lee Ji-ho", 540),
    ("ada", "Ada Moreau", 60),
    ("ben", "Ben Whitfield", 0),
    ("chiara", "Chiara Fontana", 60),
    ("dmitri", "Dmitri Volkov", 180),
    ("elif", "Elif Aydın", 180),
    ("farid", "Farid Haddad", 60),
    ("gustavo", "Gustavo Pereira", -180),
    ("hana", "Hana Nováková", 60),
    ("ines", "Inês Carvalho", 0),
    ("jonas", "Jonas Weber", 60),
    ("katya", "Katya Ivanova", 60),
    ("lena", "Lena Hoffmann", 60),
    ("mateo", "Mateo Álvarez", -300),
    ("nkechi", "Nkechi Eze", 60),
    ("oskar", "Oskar Nilsson", 60),
    ("priya", "Priya Raman", 330),
    ("quentin", "Quentin Dubois", 60),
    ("rosa", "Rosa Jiménez", -360),
    ("samir", "Samir Khoury", 120),
    ("tomas", "Tomáš Dvořák", 60),
    ("uma", "Uma Krishnan", 330),
    ("viktor", "Viktor Szabó", 60),
    ("wanjiru", "Wanjiru Kamau", 180),
    ("xin", "Xin Zhao", 480),
    ("yara", "Yara Mansour", 120),
    ("zoe", "Zoë de Vries", 60),
    ("aiko", "Aiko Tanaka", 540),
    ("bjorn", "Björn Sandberg", 60),
    ("carmen", "Carmen Ortega", -480),
    ("deniz", "Deniz Kaya", 180),
    ("emeka", "Emeka Obi", 60),
    ("freya", "Freya Thomsen", 60),
    ("giulia", "Giulia Romano", 60),
    ("henrik", "Henrik Dahl", 60),
    ("isla", "Isla MacKay", 0),
    ("jamal", "Jamal Carter", -300),
    ("svc-ci", "ACME build account", 0),
    ("svc-license-scan", "ACME license scanner", 0),
];

const OWNERS: [&str; 3] = ["olga", "martin", "grace"];

/// Team and members; a slash means a child team.
const TEAMS: [(&str, &[&str]); 10] = [
    (
        "developers",
        &[
            "kim", "lee", "ada", "ben", "chiara", "dmitri", "elif", "farid", "gustavo", "hana",
            "ines", "mateo", "nkechi", "oskar", "quentin", "rosa", "samir", "uma", "viktor", "xin",
        ],
    ),
    ("developers/frontend", &["zoe", "aiko", "bjorn"]),
    ("developers/mobile", &["carmen", "deniz"]),
    ("platform", &["kim", "tomas", "wanjiru", "emeka"]),
    ("platform/platform-oncall", &["kim", "henrik"]),
    ("data", &["yara", "jonas", "katya", "freya"]),
    ("release", &["priya", "kim"]),
    ("security", &["grace", "samir", "isla"]),
    ("docs", &["giulia", "lena"]),
    ("ci-maintainers", &["kim", "svc-ci", "svc-license-scan"]),
];

/// Name, visibility (`u` public, `p` private), tier, topics.
const REPOSITORIES: [(&str, char, &str, &[&str]); 61] = [
    (".github", 'u', "standard", &[]),
    (".github-private", 'p', "critical", &["policy"]),
    ("web", 'p', "critical", &["frontend", "typescript"]),
    ("api", 'p', "critical", &["backend", "rust"]),
    ("billing", 'p', "critical", &["backend", "sox"]),
    ("ledger", 'p', "critical", &["backend", "sox"]),
    ("invoices", 'p', "critical", &["backend", "sox"]),
    ("release-tools", 'p', "critical", &["release"]),
    ("release-notes", 'u', "standard", &["release"]),
    ("infrastructure", 'p', "critical", &["terraform"]),
    ("kubernetes", 'p', "critical", &["platform"]),
    ("helm-charts", 'p', "standard", &["platform"]),
    ("ci-images", 'p', "standard", &["platform", "ci"]),
    ("ci-scripts", 'p', "standard", &["platform", "ci"]),
    ("secrets-operator", 'p', "critical", &["platform", "security"]),
    ("identity", 'p', "critical", &["backend", "security"]),
    ("audit-log", 'p', "critical", &["security"]),
    ("threat-models", 'p', "critical", &["security", "docs"]),
    ("security-advisories", 'p', "critical", &["security"]),
    ("svc-accounts", 'p', "critical", &["backend"]),
    ("svc-cart", 'p', "standard", &["backend"]),
    ("svc-catalog", 'p', "standard", &["backend"]),
    ("svc-checkout", 'p', "critical", &["backend"]),
    ("svc-email", 'p', "standard", &["backend"]),
    ("svc-gateway", 'p', "critical", &["backend"]),
    ("svc-images", 'p', "standard", &["backend"]),
    ("svc-inventory", 'p', "standard", &["backend"]),
    ("svc-notifications", 'p', "standard", &["backend"]),
    ("svc-pay", 'p', "critical", &["backend", "sox"]),
    ("svc-pricing", 'p', "standard", &["backend"]),
    ("svc-recommendations", 'p', "standard", &["backend", "data"]),
    ("svc-reviews", 'p', "standard", &["backend"]),
    ("svc-search", 'p', "standard", &["backend"]),
    ("svc-shipping", 'p', "standard", &["backend"]),
    ("svc-tax", 'p', "critical", &["backend", "sox"]),
    ("design-system", 'u', "standard", &["frontend"]),
    ("storybook", 'p', "standard", &["frontend"]),
    ("admin-console", 'p', "critical", &["frontend"]),
    ("marketing-site", 'u', "standard", &["frontend"]),
    ("status-page", 'u', "standard", &["frontend"]),
    ("ios-app", 'p', "standard", &["mobile"]),
    ("android-app", 'p', "standard", &["mobile"]),
    ("mobile-shared", 'p', "standard", &["mobile"]),
    ("data-lake", 'p', "critical", &["data"]),
    ("dbt-models", 'p', "standard", &["data"]),
    ("airflow-dags", 'p', "standard", &["data"]),
    ("dashboards", 'p', "standard", &["data"]),
    ("notebooks", 'p', "experimental", &["data"]),
    ("feature-store", 'p', "standard", &["data"]),
    ("customer-exports", 'p', "critical", &["data"]),
    ("docs", 'u', "standard", &["docs"]),
    ("handbook", 'p', "standard", &["docs"]),
    ("api-reference", 'u', "standard", &["docs"]),
    ("style-guide", 'u', "standard", &["docs"]),
    ("sdk-js", 'u', "standard", &["sdk"]),
    ("sdk-python", 'u', "standard", &["sdk"]),
    ("sdk-go", 'u', "standard", &["sdk"]),
    ("examples", 'u', "experimental", &["sdk"]),
    ("hackweek", 'p', "experimental", &[]),
    ("legacy-shop", 'p', "standard", &["backend", "archived"]),
    ("legacy-crm", 'p', "standard", &["archived"]),
];

pub(super) fn fill(world: &mut World) {
    for (login, name, minutes) in PEOPLE {
        let user = world.add_user(login);
        user.name = Some(name.to_owned());
        user.utc_offset_minutes = minutes;
    }
    let mut acme = world.add_organization("acme");
    acme.described("Everything for the coyote")
        .members(PEOPLE.iter().map(|(login, _, _)| *login))
        .owners(OWNERS)
        .billing_manager("beancounter");
    for (path, members) in TEAMS {
        match path.split_once('/') {
            Some((parent, slug)) => acme.child_team(parent, slug, members),
            None => acme.team(path, members),
        };
    }
    acme.maintainer("release", "priya")
        .maintainer("platform", "tomas")
        .maintainer("security", "isla");
    for (name, value_type, values) in [
        ("tier", "single_select", &["critical", "standard", "experimental"][..]),
        ("sox", "true_false", &[]),
        ("data_class", "multi_select", &["public", "internal", "customer", "payment"]),
    ] {
        acme.property_definition(PropertyDefinition {
            name: name.to_owned(),
            value_type: value_type.to_owned(),
            required: false,
            default_value: (name == "sox").then(|| "false".to_owned()),
            allowed_values: values.iter().map(|value| (*value).to_owned()).collect(),
        });
    }
    for (name, visibility, tier, topics) in REPOSITORIES {
        let mut repo = if visibility == 'u' { Repo::public(name) } else { Repo::private(name) };
        repo = repo.topics(topics.iter().copied()).property("tier", tier);
        if topics.contains(&"sox") {
            repo =
                repo.property("sox", "true").property("data_class", json!(["internal", "payment"]));
        }
        if topics.contains(&"data") {
            repo = repo.property("data_class", json!(["internal", "customer"]));
        }
        if topics.contains(&"archived") {
            repo = repo.archived();
        }
        acme.repository(repo);
    }
}
