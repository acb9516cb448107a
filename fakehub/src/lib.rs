//! A stateful fake of GitHub's personal access token endpoints, over real HTTP. This file is the map; it holds no logic.
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
//! let asked = hub.request_token("acme", TokenSpec::by("kim").on(["web"]).repository_permission("contents", "read"))?;
//! assert_eq!(hub.outcome(asked.request_id), Outcome::Pending);
//! hub.review_as("olga", asked.request_id, Review::deny("not today"))?;
//! assert_eq!(hub.outcome(asked.request_id).reason(), Some("not today"));
//! hub.shutdown().await;
//! # Ok(()) }
//! ```

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
pub use hub::Fakehub;
pub use permissions::Permissions;
pub use sender::signature;
pub use tokens::{
    Actor, Effect, Grant, Lifetime, Outcome, RepositoryChoice, RequestIds, Review, ReviewCall,
    Revocation, TokenSpec,
};
pub use world::{
    Organization, OrganizationEditor, PropertyDefinition, Repo, Repository, Role, Team, TeamRole,
    User, Visibility, World,
};
