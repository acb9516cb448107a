//! A whole bot, put together from settings: what `serve` runs, the demonstration plays with and scenes try.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Audit,
    clock::Clock,
    engine::{Engine, EngineFailed, EngineOptions, MAIL_RESULTS, Policies, Post},
    github::{App, AppCredentials, CALL_OUTCOMES, ClientOptions},
    notify::Mailer,
    server::{Bound, RESULTS, Secrets, Shared, health, ops_router, router},
    settings::{Settings, Webhooks},
    store::Store,
    watch::{
        Counter, Tally, Watcher,
        metrics::{FULL, SILENT},
    },
};

/// A bot that runs.
pub struct Service {
    /// Where it receives webhooks; where there are none, where it says that it lives.
    pub address: SocketAddr,
    /// Where those who watch may look, if anywhere.
    pub ops_address: Option<SocketAddr>,
    /// Its record.
    pub store: Store,
    /// What works on requests.
    pub engine: Arc<Engine>,
    /// What it says of its doings.
    pub audit: Audit,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    ops: Option<JoinHandle<std::io::Result<()>>>,
    work: JoinHandle<Result<(), EngineFailed>>,
    post: Option<JoinHandle<()>>,
}

impl Service {
    /// Opens the store, reads the rules, binds the address and begins to work. GitHub is not called before
    /// this returns: a GitHub that is down delays no start.
    ///
    /// # Errors
    /// Whatever in the settings cannot be used, in a sentence with its remedy.
    pub async fn start(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        use anyhow::Context;

        let (secrets, listen) = match &settings.app.webhooks {
            Webhooks::Signed(secrets) => {
                (Some(Secrets::new(secrets).map_err(anyhow::Error::msg)?), settings.listen)
            }
            // Whoever asks whether we live is on this machine.
            Webhooks::Off => (None, on_this_machine(settings.listen)),
        };
        let client = ClientOptions {
            timeout: settings.github_timeout,
            write_interval: settings.write_interval,
        };
        let credentials =
            AppCredentials { app_id: settings.app.id, private_key: settings.app.private_key };
        let tally = Tally::default();
        tally.begin(Counter::Calls, CALL_OUTCOMES);
        tally.begin(Counter::Mails, MAIL_RESULTS);
        tally.begin(Counter::ConnectionsClosed, &[SILENT]);
        tally.begin(Counter::ConnectionsRefused, &[FULL]);
        let app = App::new(&credentials, &settings.app.api_url, client, clock.clone())?
            .only(settings.allowed_organizations)
            .counting(tally.clone());
        for note in &settings.notes {
            tracing::warn!("{note}");
        }
        let mailer =
            settings.mail.as_ref().map(Mailer::new).transpose().map_err(anyhow::Error::msg)?;
        let audit = Audit::new(settings.audit_log.as_deref())
            .context("the audit log cannot be opened: name a file that can be appended to")?
            .counting(tally.clone());
        // Bound before anything is opened: a second process with the same address ends here, harmlessly.
        let bound = Bound::counting(listen, tally.clone())
            .with_context(|| format!("cannot listen on {listen}: is something else there?"))?;
        let ops = settings.ops_listen.map(|address| {
            Bound::for_watchers(address).with_context(|| {
                format!(
                    "cannot listen on {address} for those who watch: is something else there? `ops-listen` names another \
                     address, and `off` none"
                )
            })
        });
        let ops = ops.transpose()?;
        let store = Store::open(&settings.database).await?;
        // Before anybody works on what the store remembers.
        store.forget_installations_unless(|login| app.allows(login), clock.now()).await?;
        let (mails, questions) = store.reach_again(clock.now()).await?;
        if mails + questions > 0 {
            tracing::info!(mails, questions, "people who could not be reached are tried again now");
        }
        let policies = Policies::open(settings.rules, &store, clock.now()).await?;
        let options = EngineOptions {
            reconcile_every: settings.reconcile_interval,
            deliveries_every: settings.deliveries_interval,
            inventory_every: settings.inventory_interval,
            retention: settings.retention,
            most_at_once: settings.most_at_once,
            client,
            addresses: settings.mail.map(|mail| Arc::new(mail.addresses)),
            digest: settings.digest.map(Arc::new),
            api_url: settings.app.api_url.clone(),
        };
        let engine = Engine::new(
            store.clone(),
            Arc::new(app),
            policies,
            clock.clone(),
            audit.clone(),
            options,
        );
        let stop = CancellationToken::new();
        let post = mailer
            .map(|mailer| Post::new(store.clone(), mailer, clock.clone()).counting(tally.clone()));
        let post = post.map(|post| tokio::spawn(post.run(stop.clone())));
        let address = bound.address;
        let ops_address = ops.as_ref().map(|ops| ops.address);
        let watcher =
            Watcher::new(store.clone(), Arc::clone(&engine), tally.clone(), clock.clone());
        let ops = ops.map(|ops| tokio::spawn(ops.serve(ops_router(watcher), stop.clone())));
        let router = match secrets {
            Some(secrets) => {
                tally.begin(Counter::Webhooks, RESULTS);
                router(Shared::new(store.clone(), &engine, secrets, clock).counting(tally))
            }
            None => health(),
        };
        let server = tokio::spawn(bound.serve(router, stop.clone()));
        let work = tokio::spawn(Arc::clone(&engine).run(stop.clone()));
        Ok(Self { address, ops_address, store, engine, audit, stop, server, ops, work, post })
    }

    /// Stops taking deliveries, lets what is under way end, closes the store.
    ///
    /// # Errors
    /// When the server or the engine had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let served = self.server.await?;
        let worked = self.work.await?;
        if let Some(ops) = self.ops {
            ops.await??;
        }
        if let Some(post) = self.post {
            post.await?;
        }
        self.store.close().await;
        served?;
        Ok(worked?)
    }

    /// Waits until the server or the engine ends by itself, which they do only when they fail. A bot that
    /// only takes deliveries, or only works on what it has, must not look alive.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn failed(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            served = &mut self.server => Ok(served??),
            worked = &mut self.work => Ok(worked??),
        }
    }
}

/// The same port, on an address that no other machine reaches.
fn on_this_machine(address: SocketAddr) -> SocketAddr {
    if address.ip().is_loopback() {
        address
    } else {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    }
}
