//! Which approved tokens a standing policy selects, key by key and edge by edge, and which today's rules cover.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};
use patwarden::{
    domain::{
        Approval, Grant, GrantId, Login, Organization, OrganizationId, Owner, Permissions,
        Repository, RepositoryId, RepositorySelection, RequestId, RequestedToken, Role, TeamRef,
        TokenId, TokenRequest, UserId, Visibility,
    },
    rules::{
        Policy, SourceFile,
        coverage::coverage,
        facts::{Fact, Facts, Needs},
        held::{Departed, HeldToken, Left},
        load::load,
        revocation::{Selection, select},
    },
};

const HEAD: &str =
    "schema = 1\nmode = \"enforce\"\n[default]\ndecision = \"escalate\"\nto = \"owners\"\n";

/// What lets the token of these stories through.
const READERS: &str = "[approve.readers]\nwhen.owner.teams = [\"developers\"]\nallow.lifetime = \"60d\"\n\
    allow.repositories = [\"*\"]\nallow.permissions.repository = { contents = \"read\" }\n";

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn ago(days: i64) -> Timestamp {
    now() - SignedDuration::from_hours(days * 24)
}

fn policy(rules: &str) -> Policy {
    let loaded = load(&[SourceFile::new("rules.toml", format!("{HEAD}{rules}"))]);
    let shown: Vec<_> = loaded.diagnostics.iter().map(|d| d.render_human(false)).collect();
    loaded.policy.unwrap_or_else(|| panic!("{}", shown.join("\n")))
}

/// The policy with one block `[revoke.x]`.
fn revoke(block: &str) -> String {
    format!("[revoke.x]\n{block}\ngrace = \"7d\"\nmax_per_run = 5\n")
}

/// A token of kim's, granted thirty days ago for sixty, used yesterday, approved by a rule.
#[derive(Clone)]
struct Held {
    grant: Grant,
    recorded: Option<TokenRequest>,
    approval: Approval,
    facts: Facts,
    left: Vec<Departed>,
}

impl Held {
    fn new() -> Self {
        let grant = Grant {
            id: GrantId(70),
            organization: Organization { id: OrganizationId(1), login: Login::new("acme") },
            owner: Owner { id: UserId(2), login: Login::new("kim") },
            token: RequestedToken {
                id: TokenId(7),
                name: "nightly".to_owned(),
                expired: false,
                expires_at: Some(ago(-30)),
                last_used_at: Some(ago(1)),
            },
            repository_selection: RepositorySelection::Subset,
            permissions: Permissions {
                repository: [("contents".to_owned(), "read".to_owned().into())].into(),
                ..Permissions::default()
            },
            access_granted_at: ago(30),
        };
        let mut facts = Facts::nothing_read(now());
        facts.owner_role = Fact::known(Role::Member, "the list of members", now());
        let team = TeamRef::parse("developers").unwrap();
        facts.owner_teams.insert(team, Fact::known(true, "the list of members", now()));
        let web = Repository {
            visibility: Some(Visibility::Private),
            ..Repository::new(RepositoryId(11), "web")
        };
        facts.repositories = Fact::known(vec![web], "the list of repositories", now());
        let approval = Approval::Rule {
            rules: vec!["approve.readers".to_owned()],
            decision: 3,
            request: RequestId(5),
            source: "rules.toml".to_owned(),
            at: ago(30),
        };
        Self { grant, recorded: None, approval, facts, left: Vec::new() }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same, and we have the request: made so many days ago, for a token that was to end then.
    fn recorded(mut self, days_ago: i64, expires_at: Option<Timestamp>) -> Self {
        let grant = &self.grant;
        self.recorded = Some(TokenRequest {
            id: RequestId(5),
            organization: grant.organization.clone(),
            owner: Owner { id: UserId(2), login: Login::new("kim-before") },
            token: RequestedToken { expires_at, ..grant.token.clone() },
            reason: Some("CHG-123456".to_owned()),
            repository_selection: grant.repository_selection,
            permissions: grant.permissions.clone(),
            created_at: ago(days_ago),
        });
        self
    }

    fn held(&self) -> HeldToken<'_> {
        let Self { grant, recorded, approval, facts, left } = self;
        HeldToken { grant, recorded: recorded.as_ref(), approval, facts, left }
    }

    fn judged(&self, rules: &str) -> Selection {
        select(&policy(rules), "x", &self.held()).unwrap()
    }

    /// What `[revoke.x]` says, under no other rules.
    fn says(&self, block: &str) -> String {
        shown(&self.judged(&revoke(block)))
    }

    /// What a policy that revokes what is no longer covered says, under these rules.
    fn uncovered(&self, rules: &str) -> String {
        shown(&self.judged(&(rules.to_owned() + &revoke("when.no_longer_covered = true"))))
    }

    fn covered(&self, rules: &str) -> String {
        let coverage = coverage(&policy(rules), &self.held());
        format!("{}: {coverage}", coverage.covered().as_str())
    }
}

fn shown(selection: &Selection) -> String {
    match selection {
        Selection::Selected(reasons) => {
            reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        Selection::NotSelected => "not selected".to_owned(),
        Selection::CannotSay(unread) => unread.to_string(),
    }
}

fn left(left: Left, days_ago: i64) -> Departed {
    Departed { at: ago(days_ago), left }
}

fn team(slug: &str) -> Left {
    Left::Team(TeamRef::parse(slug).unwrap())
}

const NOT: &str = "not selected";

#[test]
fn a_token_is_unused_since_its_last_use_and_never_for_longer_than_it_had_access() {
    let rule = "when.unused_for = \"90d\"";
    let used = |at: Option<Timestamp>, granted: i64| {
        Held::new().with(|held| {
            held.grant.access_granted_at = ago(granted);
            held.grant.token.last_used_at = at;
        })
    };
    assert_eq!(
        used(Some(ago(90)), 100).says(rule),
        "when.unused_for: expected unused for at least 90d; found last used 90d ago, since 2026-03-03"
    );
    assert_eq!(used(Some(ago(90) + SignedDuration::from_secs(1)), 100).says(rule), NOT);
    assert_eq!(
        used(None, 91).says(rule),
        "when.unused_for: expected unused for at least 90d; found never used, granted 91d ago, since 2026-03-02"
    );
    assert_eq!(used(None, 89).says(rule), NOT);
    // It waited for its approval for long, and reads public data since: that it stood idle then is nobody's fault.
    assert_eq!(used(Some(ago(200)), 1).says(rule), NOT);
    assert!(used(Some(ago(200)), 95).says(rule).contains("not used since it was granted 95d ago"));
    // GitHub's clock, or ours, is two days wrong.
    assert_eq!(used(Some(ago(-2)), 100).says("when.unused_for = \"1d\""), NOT);
}

#[test]
fn a_grant_ages_by_whole_days() {
    let held = Held::new();
    assert_eq!(
        held.says("when.granted_for = \"30d\""),
        "when.granted_for: expected granted for at least 30d; found granted 30d ago, since 2026-05-02"
    );
    assert_eq!(held.says("when.granted_for = \"31d\""), NOT);
}

#[test]
fn a_lifetime_is_what_the_recorded_request_had_left_and_else_runs_from_the_grant() {
    let rule = "when.lifetime_over = \"60d\"";
    let until = |expires_at| Held::new().with(|held| held.grant.token.expires_at = expires_at);
    // GitHub turns "60 days" into a moment late on the last day.
    let late = ago(-30) + SignedDuration::from_hours(23);
    assert_eq!(until(Some(late)).says(rule), NOT);
    assert_eq!(
        until(Some(ago(-31))).says(rule),
        "when.lifetime_over: expected a lifetime over 60d; found 61d from when it was granted"
    );
    // It was asked for two days before it was granted.
    assert_eq!(
        until(Some(ago(-30))).recorded(32, Some(ago(-30))).says(rule),
        "when.lifetime_over: expected a lifetime over 60d; found 62d from its request"
    );
    // A change of a token that had access before: what was left when the change was asked for.
    assert_eq!(until(Some(ago(-31))).recorded(10, Some(ago(-31))).says(rule), NOT);
}

#[test]
fn a_token_that_was_regenerated_with_another_end_lives_as_long_as_it_does_now() {
    let rule = "when.lifetime_over = \"60d\"";
    let regenerated = Held::new()
        .with(|held| held.grant.token.expires_at = Some(ago(-300)))
        .recorded(30, Some(ago(-30)));
    assert!(regenerated.says(rule).contains("found 330d from when it was granted"));
    let endless =
        Held::new().with(|held| held.grant.token.expires_at = None).recorded(30, Some(ago(-30)));
    assert!(endless.says(rule).contains("found never expires"));
    let ended_since = Held::new().recorded(30, None);
    assert_eq!(ended_since.says(rule), NOT);
}

#[test]
fn what_has_expired_is_left_alone() {
    let rule = "when.granted_for = \"1d\"";
    assert_ne!(Held::new().says(rule), NOT);
    let flagged = Held::new().with(|held| held.grant.token.expired = true);
    assert_eq!(flagged.says(rule), NOT);
    let by_now = Held::new().with(|held| held.grant.token.expires_at = Some(now()));
    assert_eq!(by_now.says(rule), NOT);
}

#[test]
fn a_leavers_tokens_are_selected_until_the_leaver_is_back() {
    let rule = "on = [\"organization.member_removed\"]";
    let leaver = |days_ago, role: Fact<Role>| {
        Held::new().with(|held| {
            held.left = vec![left(Left::Organization, days_ago)];
            held.facts.owner_role = role;
        })
    };
    let gone = Fact::known(Role::Stranger, "the list of members", now());
    assert_eq!(
        leaver(3, gone.clone()).says(rule),
        "on: expected organization.member_removed after it was granted; found left acme, since 2026-05-29"
    );
    assert_eq!(leaver(3, Fact::known(Role::Member, "x", now())).says(rule), NOT);
    assert_eq!(
        leaver(3, Fact::unknown("GitHub answered 503")).says(rule),
        "cannot say without owner.role (GitHub answered 503)"
    );
    // It was granted again after the leaver came back, and nobody noted another departure.
    assert_eq!(leaver(31, gone.clone()).says(rule), NOT);
    // Leaving a team is another event.
    let of_team = leaver(3, gone).with(|held| held.left = vec![left(team("developers"), 3)]);
    assert_eq!(of_team.says(rule), NOT);
}

#[test]
fn who_left_a_team_is_asked_about_that_team() {
    let rule = "on = [\"membership.removed\"]";
    let leaver = Held::new().with(|held| held.left = vec![left(team("developers"), 3)]);
    assert_eq!(leaver.says(rule), NOT, "back in the team");
    let out = leaver.clone().with(|held| {
        for fact in held.facts.owner_teams.values_mut() {
            *fact = Fact::known(false, "x", now());
        }
    });
    assert_eq!(
        out.says(rule),
        "on: expected membership.removed after it was granted; found left the team developers, since 2026-05-29"
    );
    // The same team, named with its organization.
    let named = out.clone().with(|held| held.left = vec![left(team("acme/developers"), 3)]);
    assert!(named.says(rule).contains("left the team acme/developers"));
    let another = out.clone().with(|held| held.left = vec![left(team("ops"), 3)]);
    assert_eq!(another.says(rule), "cannot say without owner.teams (ops: it was not read)");
    // Of two teams, being out of one is enough, whatever is known of the other.
    let both = out.with(|held| held.left.push(left(team("ops"), 1)));
    assert!(both.says(rule).contains("left the team developers"));
    // Another key that is known not to hold settles it.
    assert_eq!(another.says(&format!("{rule}\nwhen.unused_for = \"90d\"")), NOT);
}

#[test]
fn of_several_events_any_selects_and_what_when_asks_must_hold_as_well() {
    let rule = "on = [\"membership.removed\", \"organization.member_removed\"]";
    let gone = Held::new().with(|held| {
        held.left = vec![left(Left::Organization, 3), left(team("developers"), 4)];
        held.facts.owner_role = Fact::known(Role::Stranger, "x", now());
    });
    assert_eq!(
        gone.says(rule),
        "on: expected organization.member_removed or membership.removed after it was granted; found left acme, since 2026-05-29"
    );
    assert_eq!(gone.says(&format!("{rule}\nwhen.unused_for = \"2d\"")), NOT);
    let unused = format!("{rule}\nwhen.unused_for = \"1d\"");
    assert_eq!(gone.says(&unused).lines().count(), 2);
    let stays = Held::new();
    assert_eq!(stays.says(&unused), NOT);
}

#[test]
fn what_a_rule_approved_is_selected_once_every_rule_is_known_to_refuse_it() {
    let held = Held::new();
    assert_eq!(held.uncovered(READERS), NOT);
    let shorter = READERS.replace("60d", "59d");
    assert_eq!(
        held.uncovered(&shorter),
        "when.no_longer_covered: expected no approve rule covers it any more; \
         found approved by approve.readers; closest is approve.readers, unmet allow.lifetime"
    );
    assert!(held.uncovered("").ends_with("; there are no approve rules"));
    // A ceiling above the rule cuts it down.
    assert!(held.uncovered(&format!("{READERS}[ceiling]\nlifetime = \"7d\"\n")).contains("unmet"));
    // Another rule is enough, whatever its name; a veto is not asked.
    let renamed = READERS.replace("approve.readers", "approve.developers");
    let veto = "[deny.x]\nwhen.owner.login = [\"*\"]\nreason = \"No.\"\n";
    assert_eq!(held.uncovered(&(renamed + veto)), NOT);
    // Lately it may do more than it was approved for.
    let wider = held.clone().with(|held| {
        held.grant.permissions.repository.insert("issues".to_owned(), "read".to_owned().into());
    });
    assert!(wider.uncovered(READERS).ends_with("unmet allow.permissions.repository.issues"));
}

#[test]
fn what_people_approved_is_never_meant_nor_what_nobody_recorded() {
    let (login, request, at) = ("olga".to_owned(), RequestId(5), ago(30));
    for approval in [
        Approval::Person { login: login.clone(), request, at },
        Approval::App { login, request, at },
        Approval::Itself,
        Approval::Unknown,
    ] {
        let held = Held::new().with(|held| held.approval = approval);
        assert_eq!(held.uncovered(""), NOT);
        // For a list of what is not covered they are judged like all others.
        assert_eq!(held.covered(""), "no: there are no approve rules");
        assert_eq!(held.covered(READERS), "yes: approve.readers lets it through");
    }
}

#[test]
fn what_only_a_request_has_is_left_out() {
    for about_asking in [
        "when.token.name.matches = \"ci-.*\"",
        "when.request.kind = [\"change\"]",
        "when.request.reason.matches = \"CHG\"",
        "when.clock = { until = 2026-01-31, timezone = \"UTC\" }",
        "unless.clock = { from = 2026-01-31, timezone = \"UTC\" }",
        "unless.token.name.matches = \"night.*\"",
        "unless.request.kind = [\"new\", \"change\"]",
        "require.reason_min_length = 20\nrequire.reason_matches = \"CHG\"",
    ] {
        let rules = READERS.replace("allow.lifetime", &format!("{about_asking}\nallow.lifetime"));
        assert_eq!(
            Held::new().covered(&rules),
            "yes: approve.readers lets it through",
            "{about_asking}"
        );
    }
    let required = format!("{READERS}[require]\nreason_min_length = 20\n");
    assert_eq!(Held::new().covered(&required), "yes: approve.readers lets it through");
    for about_the_token in [
        "when.owner.login = [\"sam\"]",
        "when.token.unused_for.at_least = \"2d\"",
        "when.repositories.all.visibility = [\"public\"]",
        "unless.owner.role = [\"member\"]",
    ] {
        let rules =
            READERS.replace("allow.lifetime", &format!("{about_the_token}\nallow.lifetime"));
        let key = about_the_token.split([' ', '.']).nth(1).unwrap();
        let found = Held::new().covered(&rules);
        assert!(found.starts_with("no: ") && found.contains(key), "{about_the_token}: {found}");
    }
}

#[test]
fn an_unread_fact_of_one_rule_keeps_a_token_that_others_refuse() {
    let unread = Held::new().with(|held| held.facts.owner_teams.clear());
    assert_eq!(
        unread.uncovered(READERS),
        "cannot say without owner.teams (developers: it was not read)"
    );
    // The lifetime alone refuses it, whoever is in the team.
    assert!(unread.uncovered(&READERS.replace("60d", "7d")).contains("no approve rule"));
    let another = READERS.replace("readers", "others").replace("owner.teams", "owner.login");
    let another = another.replace("developers", "k*");
    assert_eq!(
        unread.covered(&format!("{READERS}{another}")),
        "yes: approve.others lets it through"
    );
}

#[test]
fn a_token_is_judged_by_the_lifetime_that_its_request_had() {
    // Granted long after it was asked for, there are only 58 days from the grant to its end.
    let rules = READERS.replace("60d", "58d");
    let held = Held::new().with(|held| held.grant.access_granted_at = ago(28));
    assert_eq!(held.covered(&rules), "yes: approve.readers lets it through");
    let recorded = held.clone().recorded(30, held.grant.token.expires_at);
    assert_eq!(recorded.covered(&rules), "no: closest is approve.readers, unmet allow.lifetime");
    assert_eq!(recorded.covered(READERS), "yes: approve.readers lets it through");
}

#[test]
fn the_owner_is_asked_under_the_login_of_today() {
    let rule = "when.owner.login = [\"kim-before\"]";
    let renamed = Held::new().recorded(30, Some(ago(-30)));
    assert_eq!(renamed.says(rule), NOT);
    assert_eq!(
        renamed.says("when.owner.login = [\"KIM\"]"),
        "when.owner.login: expected KIM; found kim"
    );
    // The record counts all the same: it is known by its token.
    let older = renamed.with(|held| held.recorded.as_mut().unwrap().created_at = ago(40));
    assert!(older.says("when.lifetime_over = \"60d\"").contains("70d from its request"));
}

#[test]
fn repositories_are_asked_as_they_are_and_never_as_a_veto() {
    let rule = "when.repositories.any.name = [\"web\"]";
    let held = Held::new();
    assert_eq!(
        held.says(rule),
        "when.repositories.any.name: expected one with name web; found web"
    );
    let everywhere =
        held.clone().with(|held| held.grant.repository_selection = RepositorySelection::All);
    assert_eq!(
        everywhere.says(rule),
        "cannot say without repositories (a token for all repositories also reaches those that do not exist yet)"
    );
    assert!(everywhere.says("when.repository_selection = [\"all\"]").contains("found all"));
    assert!(everywhere.says("when.repositories.count.at_least = 1000").contains("found all"));
    let nowhere =
        held.clone().with(|held| held.grant.repository_selection = RepositorySelection::None);
    assert_eq!(nowhere.says(rule), NOT);
    // Under a former name only a veto would know it.
    let renamed = held.with(|held| {
        let repository = Repository {
            former_names: vec!["web".to_owned()],
            ..Repository::new(RepositoryId(11), "site")
        };
        held.facts.repositories = Fact::known(vec![repository], "x", now());
    });
    assert_eq!(renamed.says(rule), NOT);
}

/// What the answer hangs on, where there is none.
fn needed(selection: &Selection) -> Option<Needs> {
    match selection {
        Selection::CannotSay(unread) => Some(unread.needed.clone()),
        _ => None,
    }
}

#[test]
fn repositories_are_read_only_where_the_answer_hangs_on_them() {
    let held = Held::new().with(|held| held.facts.repositories = Fact::not_asked());
    let repositories = Needs { repositories: true, ..Needs::default() };
    let public = READERS.replace(
        "allow.lifetime",
        "when.repositories.all.visibility = [\"public\"]\nallow.lifetime",
    );
    let uncovered = revoke("when.no_longer_covered = true");
    let judged = |held: &Held, rules: &str| held.judged(&format!("{rules}{uncovered}"));
    assert_eq!(needed(&judged(&held, &public)), Some(repositories.clone()));
    // A rule that asks for no repositories covers it; a bound that it is over settles it: nothing is read.
    assert_eq!(judged(&held, READERS), Selection::NotSelected);
    let short = public.replace("60d", "7d");
    assert!(matches!(judged(&held, &short), Selection::Selected(_)));
    let by_people = held.clone().with(|held| held.approval = Approval::Itself);
    assert_eq!(judged(&by_people, &public), Selection::NotSelected);
    // No list will ever answer for all repositories.
    let everywhere =
        held.clone().with(|held| held.grant.repository_selection = RepositorySelection::All);
    let all = public.replace("allow.lifetime", "allow.all_repositories = true\nallow.lifetime");
    assert_eq!(needed(&judged(&everywhere, &all)), Some(Needs::default()));
    // Of what was listed, only what is lacking.
    let property = "when.repositories.any = { visibility = [\"private\"], custom_properties.Tier = [\"gold\"] }";
    let listed = Held::new();
    let gold = Needs { custom_properties: ["tier".to_owned()].into(), ..Needs::default() };
    assert_eq!(needed(&listed.judged(&revoke(property))), Some(gold.clone()));
    assert_eq!(needed(&held.judged(&revoke(property))), Some(Needs { repositories: true, ..gold }));
    // And of two teams the one that was not read.
    let teams = "when.owner.teams = [\"ops\", \"developers\"]";
    let outside = Held::new().with(|held| {
        held.facts.owner_teams.values_mut().for_each(|fact| *fact = Fact::known(false, "x", now()));
    });
    let ops = Needs { teams: [TeamRef::parse("ops").unwrap()].into(), ..Needs::default() };
    assert_eq!(needed(&outside.judged(&revoke(teams))), Some(ops));
}

#[test]
fn a_policy_that_has_no_such_block_says_nothing() {
    let held = Held::new();
    assert_eq!(select(&policy(&revoke("when.granted_for = \"1d\"")), "y", &held.held()), None);
}

#[test]
fn a_block_that_is_wrong_in_one_part_is_told_in_all_its_parts() {
    let wrong = "[revoke.everything]\nwhen.unused_for = \"0d\"\nwhen.granted_for = \"36h\"\n\
        when.no_longer_covered = false\nwhen.owner.rôle = [\"member\"]\nwhen.permissions = {}\n\
        on = [\"organization.member_left\"]\nmax_share = \"0%\"\n\
        [revoke.nothing]\ngrace = \"0d\"\nmax_per_run = 0\n";
    let wrong = wrong.replace("rôle", "roel");
    let loaded = load(&[SourceFile::new("rules.toml", format!("{HEAD}{wrong}"))]);
    assert!(loaded.policy.is_none());
    let shown: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|d| {
            let help = d.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
            format!("{}:{} {} {}{help}", d.place.line, d.place.column, d.code, d.message)
        })
        .collect();
    assert_snapshot!(shown.join("\n"), @r#"
    6:9 missing-key `revoke.everything` has no `grace` (how long after the notice, such as `grace = "14d"`)
    6:9 missing-key `revoke.everything` has no `max_per_run` (above it nothing is revoked and the owners are asked, such as `max_per_run = 5`)
    7:19 bad-duration `revoke.everything.when.unused_for` must be longer than nothing
    8:20 bad-duration `36h` is not a duration here (lifetimes are counted in whole days; write days, such as "90d")
    9:26 bad-value `revoke.everything.when.no_longer_covered` can only be true (leave the key out instead)
    10:12 unknown-key `revoke.everything.when.owner` has no `roel` (did you mean `role`?)
    11:6 unknown-key `revoke.everything.when` has no `permissions` (possible: unused_for, granted_for, lifetime_over, no_longer_covered, owner, repositories, repository_selection)
    12:7 bad-value `revoke.everything.on` cannot be `organization.member_left` (did you mean `organization.member_removed`?)
    13:13 bad-value `revoke.everything.max_share` must be from "1%" to "100%"
    14:9 missing-key `revoke.nothing` has neither `when` nor `on` (say which tokens: `when.unused_for = "90d"`, or `on = ["organization.member_removed"]`)
    16:15 bad-value `revoke.nothing.max_per_run` must be from 1 to 100000
    "#);
}
