//! A stateful fake of GitHub: personal access token requests, and a repository with rules, over real HTTP. This file is the map; no logic.
//!
//! Every answer comes from one state: organizations, people, teams, repositories, tokens, requests, installations.
//! People act through [`Fakehub`], the App acts over HTTP at [`Fakehub::api_url`], and each sees what the other did.
//! App JWTs are verified, webhooks are really signed and sent, limits are counted, and what GitHub refuses is refused.
//!
//! ```
//! # #[tokio::main] async fn main() -> Result<(), fakehub::Error> {
//! use fakehub::{Config, Fakehub, Outcome, Repo, Review, TokenSpec};
//!
//! let hub = Fakehub::start(Config::default()).await?;
//! hub.world(|world| {
//!     let mut acme = world.add_organization("acme");
//!     acme.owner("olga").team("platform", ["kim"]).repository(Repo::private("web"));
//! });
//! hub.install("acme")?;
//! hub.set_webhook_url("http://127.0.0.1:9/webhooks/github"); // where the bot listens
//!
//! let spec = TokenSpec::by("kim").named("ci").on(["web"]).repository_permission("contents", "read");
//! let asked = hub.request_token("acme", spec)?; // sends `created`
//! assert_eq!(hub.outcome(asked.request_id), Outcome::Pending);
//!
//! hub.review_as("olga", asked.request_id, Review::deny("not today"))?; // sends `denied`
//! assert_eq!(hub.outcome(asked.request_id).reason(), Some("not today"));
//! hub.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! # Where to look
//! - [`Config`] and [`Switches`]: how it starts, and its answers to what GitHub's documentation leaves open.
//! - [`World`] and [`worlds`]: who and what exists.
//! - [`Fakehub`]: what people do, what became of it, which calls came, which webhooks went.
//! - [`Config::rules_in_a_repository`]: an App that reads a repository, hears of pushes and writes check runs.
//! - [`Config::asks_by_issue`]: an App that writes issues, and hears what people answer there.
//! - [`Fault`] and [`Hold`]: failures on cue, and calls that wait until a test lets them go or cuts them.
//!
//! # Time
//! fakehub's clock is the system's plus what [`Fakehub::advance`] added. Expiry, rate limits, JWTs, the header `Date` and
//! all times in bodies follow it. Delays, holds and the time limit of webhooks run on real time.
//!
//! # From several threads
//! Handles can be cloned and used from any thread, also outside the runtime that [`Fakehub::start`] was called in; only
//! that runtime must live on. Inside a closure given to [`Fakehub::world`] no other method may be called.

mod answer;
mod app;
mod auth;
mod calls;
mod clock;
mod config;
mod context;
mod control;
mod deliveries;
mod endpoints;
mod error;
mod faults;
mod gate;
mod hub;
mod ids;
mod installations;
mod later;
mod ledger;
mod lifecycle;
mod limits;
mod permissions;
mod render;
mod routes;
mod sender;
mod server;
mod shared;
mod state;
mod tokens;
mod website;
mod world;
pub mod worlds;

pub use app::App;
pub use calls::Call;
pub use config::{
    AppSender, Config, EditedRequest, SettledReview, StaleBulk, Switches, WebhookOrder,
};
pub use deliveries::{ContentType, Delivery};
pub use error::Error;
pub use faults::{Fault, Held, Hold};
pub use hub::{AppKey, Fakehub};
pub use permissions::Permissions;
pub use sender::signature;
pub use tokens::{
    Actor, Effect, Grant, Lifetime, Outcome, RepositoryChoice, RequestIds, Review, ReviewCall,
    Revocation, TokenSpec,
};
pub use world::{
    Access, Annotation, Author, Changes, CheckRun, Head, Issue, IssueComment, Organization,
    OrganizationEditor, PropertyDefinition, PullRequest, Repo, Repository, Role, Team, TeamRole,
    User, Visibility, World,
};
