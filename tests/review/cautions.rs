//! What weighs most in a request is said before anything else, wherever people are asked.

use patwarden::{
    domain::{Repository, RepositoryId, RepositorySelection, TeamRef},
    review::issue::Audience,
    rules::{
        facts::{Fact, Facts},
        policy::Detail,
    },
};

use super::{
    RULES, Told, asked, facts,
    letters::ISSUE,
    rules,
    rules_support::{now, policy},
};

/// The request of `asked`, for these repositories.
fn reaching(names: &[&str]) -> Facts {
    let numbered = names.iter().zip(7..);
    let all = numbered.map(|(name, id)| Repository::new(RepositoryId(id), *name)).collect();
    Facts { repositories: Fact::known(all, "GET /…/repositories", now()), ..facts() }
}

#[test]
fn what_reaches_the_rules_or_the_answers_is_said_before_anything_else_and_is_not_folded() {
    let rules = rules().with_protected("acme", "rules").with_protected_id(RepositoryId(8));
    let told = |facts: &Facts| Told::by(&rules, asked(), facts);
    let first_facts = |told: &Told| {
        let body = told.ask(Audience::Reviewers, None).body();
        body.split("### What is asked").next().unwrap().to_owned()
    };
    // No rule would approve it, so the built-in veto decided nothing and stands in no list of rules that did.
    let both = told(&reaching(&["web", "was-the-rules", "token-reviews"]));
    assert!(both.decision.by.is_empty());
    let careful = "**Careful:** it could write to `acme/was-the-rules`, where the rules are, and to `acme/token-reviews`, where \
                   reviewers answer. No rule lets that pass.";
    assert!(first_facts(&both).contains(careful), "{}", first_facts(&both));
    let mail = both.letter(Detail::Full, Some(ISSUE)).text();
    let (before, _) = mail.split_once("Asked for:").unwrap();
    assert!(before.contains("Careful: it could write to acme/was-the-rules, where"), "{mail}");
    assert!(!both.letter(Detail::Minimal, None).text().contains("rules, where"), "that is a name");
    assert!(!both.ask(Audience::Anybody, None).body().contains("Careful"));

    let mut whole = asked();
    whole.repository_selection = RepositorySelection::All;
    let whole = Told::by(&rules, whole, &facts());
    assert!(first_facts(&whole).contains("`acme/rules`, where the rules are, and to"));
    let mut unread = facts();
    unread.repositories = Fact::unknown("GitHub did not answer");
    assert!(
        first_facts(&told(&unread)).contains("which repositories it reaches could not be read")
    );
    // Whoever only reads, or reaches others, gives no reason for care.
    let mut reads = asked();
    reads.permissions.repository = [("contents".to_owned(), "read".to_owned().into())].into();
    let reads = Told::by(&rules, reads, &reaching(&["rules"]));
    for harmless in [reads, told(&reaching(&["web"]))] {
        assert!(!first_facts(&harmless).contains("Careful"), "{}", first_facts(&harmless));
    }
}

#[test]
fn a_hard_rule_that_may_deny_it_is_said_before_anything_else() {
    let hard =
        "[deny.leads]\nwhen.owner.teams = [\"leads\"]\nreason = \"No.\"\nenforcement = \"hard\"\n";
    let rules = policy(&[format!("{RULES}{hard}")]);
    let mut facts = facts();
    facts.owner_teams.insert(TeamRef::parse("leads").unwrap(), Fact::unknown("no answer"));
    let told = Told::by(&rules, asked(), &facts);
    let body = told.ask(Audience::Reviewers, None).body();
    let (before, _) = body.split_once("### What is asked").unwrap();
    assert!(
        before.contains(
            "**Careful:** the rule `deny.leads`, which is hard, may deny it: nobody can approve it here before `owner.teams` can \
             be read."
        ),
        "{body}"
    );
    let softened = policy(&[format!("{RULES}{}", hard.replace("hard", "soft"))]);
    let told = Told::by(&softened, asked(), &facts);
    assert!(!told.ask(Audience::Reviewers, None).body().contains("Careful"));
}
