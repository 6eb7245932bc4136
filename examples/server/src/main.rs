//! A job server on `wan-animate`: no job is lost, whatever dies. README.md says how to run it.

mod api;
mod app;
mod clock;
mod compat;
mod config;
mod db;
mod deliveries;
mod desk;
mod encode;
mod engine;
mod error;
mod examine;
mod fetch;
mod generate;
mod inputs;
mod job;
mod jobs;
mod keys;
mod leases;
mod queue;
mod request;
mod results;
mod routes;
mod run;
mod sign;
mod store;
mod submit;
mod sweep;
mod uploads;
mod view;
mod watch;
mod webhook;
mod worker;
mod workers;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Shared};
use crate::config::Options;
use crate::db::Database;
use crate::examine::Examination;

/// How long after the grace of jobs they take to be given back.
const GIVEN_BACK: Duration = Duration::from_secs(5);

/// A job server: submit a character and a driving video, watch, download.
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    /// Logs lines of JSON.
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Takes jobs, and runs them too.
    Serve {
        #[command(flatten)]
        options: Options,
        /// Takes jobs and runs none: workers are processes of their own.
        #[arg(long)]
        no_worker: bool,
    },
    /// Runs jobs that servers of the same database take.
    Worker {
        #[command(flatten)]
        options: Options,
    },
    /// API keys.
    Keys {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Prints the OpenAPI description.
    Openapi,
    /// Decodes a file within limits, and says what is wrong with it.
    #[command(hide = true)]
    Examine(Examination),
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Makes a key, and says it once.
    Add {
        name: String,
        /// It may make others.
        #[arg(long)]
        admin: bool,
        /// Jobs that may wait at once.
        #[arg(long, default_value_t = 100)]
        max_queued: i64,
        /// The highest priority of its jobs, 0 to 9.
        #[arg(long, default_value_t = 0)]
        max_priority: i64,
    },
    /// Lists keys.
    List,
    /// A key is none any more.
    Revoke { id: String },
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    if let Command::Examine(examination) = &command_line.command {
        return ExitCode::from(examination.run());
    }
    log(command_line.log_json);
    // One provider of cryptography for all that speaks TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let done = runtime.block_on(run(command_line.command));
    // The engine's thread may be in the middle of something that is of no use any more.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("wan-animate-server: {message}");
    ExitCode::FAILURE
}

fn log(json: bool) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,wgpu=warn,naga=warn,apalis=warn,sqlx=error".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { builder.json().init() } else { builder.init() }
}

async fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Serve { options, no_worker } => {
            let (app, stop) = open(options).await?;
            greet(&app).await?;
            let listener =
                tokio::net::TcpListener::bind(&app.config.listen).await.map_err(|error| format!("{}: {error}", app.config.listen))?;
            let server = tokio::spawn(serve(app.clone(), listener));
            let ended = background(&app, !no_worker, stop).await;
            // Connections that clients hold open are no reason to stay.
            let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
            ended
        }
        Command::Worker { options } => {
            let (app, stop) = open(options).await?;
            background(&app, true, stop).await
        }
        Command::Keys { options, command } => {
            let config = options.read()?;
            std::fs::create_dir_all(&config.data).map_err(|error| error.to_string())?;
            let database = Database::open(&config.database()).await.map_err(|error| error.to_string())?;
            keys_command(&database, command).await.map_err(|error| error.to_string())
        }
        Command::Examine(_) => Ok(()),
        Command::Openapi => {
            let description = <api::docs::Description as utoipa::OpenApi>::openapi();
            println!("{}", description.to_pretty_json().map_err(|error| error.to_string())?);
            Ok(())
        }
    }
}

type Stop = tokio::sync::watch::Sender<bool>;

async fn open(options: Options) -> Result<(Shared, Stop), String> {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().map_err(|error| error.to_string())?;
    Ok((App::open(options.read()?, metrics, stopped).await?, stop))
}

/// Says how to begin, with a first key where there is none.
async fn greet(app: &App) -> Result<(), String> {
    let keys = keys::list(&app.database).await.map_err(|error| error.to_string())?;
    if keys.is_empty() {
        let (_, key) = keys::create(&app.database, "first", true, 100, 9).await.map_err(|error| error.to_string())?;
        println!("The first key, which is not told again: {key}");
        println!("Open {}/#key={key}", app.public_url);
    }
    Ok(())
}

async fn serve(app: Shared, listener: tokio::net::TcpListener) {
    tracing::info!("listening on {}", app.public_url);
    let stop = queue::stopped(app.stop.clone());
    if let Err(error) = axum::serve(listener, routes::router(app)).with_graceful_shutdown(stop).await {
        tracing::error!("{error}");
    }
}

/// Everything but the listening, until a signal, and until what is under way has been given back.
async fn background(app: &Shared, works: bool, stop: Stop) -> Result<(), String> {
    let (watched, swept) = (app.clone(), app.clone());
    tokio::spawn(async move { watched.watch.run(&watched.database, watched.stop.clone()).await });
    tokio::spawn(async move { sweep::run(&swept).await });
    let heartbeat = Duration::from_millis(app.config.heartbeat_ms);
    let deliver = queue::work(&app.database, queue::DELIVERIES, heartbeat, 8, app.stop.clone(), webhook::handler(app.clone()));
    let work = async {
        match works {
            true => worker::work(app.clone()).await,
            false => Ok(()),
        }
    };
    // In this task: the queue's futures cannot go to another. A worker that cannot work ends the process.
    let deliver = async {
        deliver.await;
        Ok(())
    };
    let all = async { tokio::try_join!(deliver, work).map(drop) };
    tokio::pin!(all);
    let ended = tokio::select! {
        ended = &mut all => Some(ended),
        () = signalled() => None,
    };
    tracing::info!("stopping");
    let _ = stop.send(true);
    if let Some(ended) = ended {
        return ended;
    }
    tokio::select! {
        ended = tokio::time::timeout(app.config.grace() + GIVEN_BACK, all) => ended.unwrap_or(Ok(())),
        () = signalled() => Ok(()),
    }
}

async fn signalled() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn keys_command(database: &Database, command: KeyCommand) -> error::Result<()> {
    match command {
        KeyCommand::Add { name, admin, max_queued, max_priority } => {
            let (id, key) = keys::create(database, &name, admin, max_queued, max_priority).await?;
            println!("{id} {key}");
        }
        KeyCommand::List => {
            for key in keys::list(database).await? {
                let state = if key.revoked.is_some() { "revoked" } else { "valid" };
                println!("{} {} {state} {} since {}", key.id, key.name, key.scopes, clock::rfc3339(key.created));
            }
        }
        KeyCommand::Revoke { id } => {
            if !keys::revoke(database, &id).await? {
                return Err(error::Failure::not_found("key"));
            }
        }
    }
    Ok(())
}
