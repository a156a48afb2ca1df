//! `netipc demo`: a provider, a client, and what happens when the provider is killed.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use netipc::{Client, kinds::CgroupsLookup, proto::Service};

use super::dashboard::{Scroll, state_line, table_lines};
use crate::{
    args::{Common, Demo, Transport},
    context::{Context, output, session_options, token},
    failure::{Exit, Failure},
    follow::Follower,
    rows,
    signals::Signals,
    term::{
        output::{self as screen_output, Stop},
        screen::{Event, Screen},
        style::{self, paint},
        table::{Cut, Look, shorten},
    },
};

/// What happens, and when, from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    SharedMemory,
    Socket,
    Killed,
    Restarted,
}

impl Act {
    const ALL: [Act; 4] = [Act::SharedMemory, Act::Socket, Act::Killed, Act::Restarted];

    fn says(self) -> &'static str {
        match self {
            Act::SharedMemory => "1/4  a provider serves this machine's cgroups over shared memory",
            Act::Socket => "2/4  the same service over the socket alone, for a client that asks so",
            Act::Killed => "3/4  the provider is killed (SIGKILL): the cache keeps what it knew",
            Act::Restarted => "4/4  the provider is back: the client connected again by itself",
        }
    }
}

/// Runs the demonstration; on a terminal until a key ends it.
///
/// # Errors
///
/// The provider does not come up, or nobody reads what is printed.
pub fn run(common: Common, args: Demo) -> Result<(), Stop> {
    let signals = Signals::take().map_err(|why| Failure::system("wait for signals", &why))?;
    let dir = PrivateDir::make()?;
    let token = token(&common)?;
    let out = output(&common);
    let common = Common { run_dir: Some(dir.0.clone()), transport: Transport::Auto, ..common };
    let context = Context { common, run_dir: dir.0.clone(), token, out };
    let mut stage = Stage {
        context,
        args,
        provider: None,
        follower: None,
        latency: None,
        measured: Vec::new(),
    };
    if stage.context.out.is_terminal() {
        on_screen(&mut stage, signals)?;
        // The screen is as it was before: some of what was shown on it stays.
        let reconnects = stage.follower.as_ref().map_or(0, |follower| follower.view().reconnects);
        let reconnects = rows::count(reconnects as usize, "reconnect");
        let measured = std::mem::take(&mut stage.measured);
        measured.iter().try_for_each(|line| stage.context.out.line(line))?;
        stage.context.out.line(format_args!("{reconnects}; nothing is left behind"))?;
        Ok(stage.context.out.flush()?)
    } else {
        in_lines(&mut stage, &signals)
    }
}

/// The provider, its client, and what they have shown so far.
struct Stage {
    context: Context,
    args: Demo,
    provider: Option<Provider>,
    follower: Option<Follower>,
    latency: Option<String>,
    /// What was measured in all acts.
    measured: Vec<String>,
}

impl Stage {
    /// Makes happen what an act is about.
    fn begin(&mut self, act: Act, signals: &Signals) -> Result<(), Failure> {
        match act {
            Act::SharedMemory => {
                self.provider = Some(Provider::start(&self.context, &self.args)?);
                self.follow(Transport::Auto)?;
                self.measure(Transport::Auto)?;
            }
            Act::Socket => {
                self.follow(Transport::Socket)?;
                self.measure(Transport::Socket)?;
            }
            Act::Killed => {
                // The rest is about a client that takes the best there is.
                self.follow(Transport::Auto)?;
                self.settle(Act::SharedMemory, signals)?;
                // Dropping it is what kills it.
                self.provider = None;
                self.latency = None;
            }
            Act::Restarted => {
                self.provider = Some(Provider::start(&self.context, &self.args)?);
                self.measure(Transport::Auto)?;
            }
        }
        Ok(())
    }

    /// Follows the provider over `transport` from now on.
    fn follow(&mut self, transport: Transport) -> Result<(), Failure> {
        self.context.common.transport = transport;
        self.follower = None;
        let follower = Follower::start(&self.context, REFRESH)
            .map_err(|why| Failure::system("follow cgroups", &why))?;
        self.follower = Some(follower);
        Ok(())
    }

    /// Measures how long a small lookup takes over `transport`.
    fn measure(&mut self, transport: Transport) -> Result<(), Failure> {
        const CALLS: usize = 2_000;
        let service = CgroupsLookup::NAME;
        let mut options = self.context.client_options();
        options.session = session_options(transport, self.context.token);
        let mut client =
            Client::<CgroupsLookup>::with_options(&self.context.run_dir, service, options);
        client.refresh();
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            client.lookup(&[b"/"]).map_err(|why| self.context.failure(service, &why))?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let latency = format!(
            "lookup of a cgroup over {}: median {}, 99 of 100 within {} ({CALLS} calls)",
            client.session().map_or("nothing", |session| rows::carrier_words(session.carrier())),
            rows::time(times[CALLS / 2]),
            rows::time(times[CALLS * 99 / 100]),
        );
        self.measured.push(latency.clone());
        self.latency = Some(latency);
        Ok(())
    }

    /// What is seen, in at most `height` lines.
    fn lines(
        &self,
        act: Act,
        scroll: Option<&mut Scroll>,
        look: Look,
        height: usize,
    ) -> Vec<String> {
        let width = look.width.unwrap_or(usize::MAX);
        let fit = |text: &str| shorten(text, width, Cut::Back);
        let provider = match &self.provider {
            Some(provider) => format!("provider: process {}", provider.0.id()),
            None => "provider: none".to_owned(),
        };
        let processes = format!("{provider} · this client: process {}", std::process::id());
        let mut lines = vec![
            paint(&fit(act.says()), style::TITLE, look.colors),
            paint(&fit(&processes), style::FAINT, look.colors),
        ];
        let view = self.follower.as_ref().map(Follower::view);
        if let Some(view) = &view {
            lines.push(state_line(view, look));
        }
        lines.extend(self.latency.as_deref().map(fit));
        lines.push(String::new());
        if let Some(view) = &view {
            let room = height.saturating_sub(lines.len());
            lines.extend(table_lines(view, scroll, look, room));
        }
        lines
    }
}

/// How often the client asks.
const REFRESH: Duration = Duration::from_millis(100);
/// How long a provider may take to come up.
const STARTING: Duration = Duration::from_secs(10);

fn on_screen(stage: &mut Stage, signals: Signals) -> Result<(), Stop> {
    const ACT: Duration = Duration::from_secs(4);
    let mut screen = Screen::take(signals)?;
    let mut scroll = Scroll::default();
    for (index, act) in Act::ALL.into_iter().enumerate() {
        stage.begin(act, screen.signals())?;
        let is_last = index + 1 == Act::ALL.len();
        // The last act is left on the screen for as long as anybody looks at it.
        let ends = Instant::now() + if is_last { Duration::from_secs(600) } else { ACT };
        while Instant::now() < ends {
            let look = stage.context.out.look();
            let rows = screen_output::size().1;
            let mut lines = stage.lines(act, Some(&mut scroll), look, rows.saturating_sub(2));
            let keys = if is_last { "q quits" } else { "any key goes on, q quits" };
            lines.push(String::new());
            lines.push(paint(keys, style::FAINT, look.colors));
            screen.draw(&lines)?;
            let due = (Instant::now() + REFRESH).min(ends);
            match screen.wait(due)? {
                Event::Quit => return Ok(()),
                Event::Key(crate::term::screen::Key::Letter(_)) if !is_last => break,
                Event::Key(key) => scroll.go(key, usize::MAX, rows / 2),
                Event::Due | Event::Redraw => {}
            }
        }
    }
    Ok(())
}

fn in_lines(stage: &mut Stage, signals: &Signals) -> Result<(), Stop> {
    const HEIGHT: usize = 16;
    for act in Act::ALL {
        stage.begin(act, signals)?;
        stage.settle(act, signals)?;
        if signals.has_ended() {
            return Ok(());
        }
        let look = stage.context.out.look();
        let lines = stage.lines(act, None, look, HEIGHT);
        lines.iter().try_for_each(|line| stage.context.out.line(line))?;
        stage.context.out.line("")?;
        stage.context.out.flush()?;
    }
    Ok(())
}

impl Stage {
    /// Waits until what an act is about can be seen, or until a signal says that it is over.
    fn settle(&self, act: Act, signals: &Signals) -> Result<(), Failure> {
        let deadline = Instant::now() + STARTING;
        let Some(follower) = &self.follower else { return Ok(()) };
        loop {
            let view = follower.view();
            let is_seen = match act {
                Act::Killed => !view.fresh,
                Act::Restarted => view.fresh && view.reconnects > 0,
                Act::SharedMemory | Act::Socket => view.fresh,
            };
            if is_seen || signals.has_ended() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let message = format!("wait for act {act:?}: it did not come in time");
                return Err(Failure::new(Exit::Timeout, message));
            }
            let soon = Instant::now() + Duration::from_millis(20);
            crate::bell::wait(&[signals.end(), follower.done()], soon)
                .map_err(|why| Failure::system("wait for a refresh", &why))?;
            follower.take();
        }
    }
}

/// A provider in a process of its own, which is killed when this is dropped, and ends by itself if
/// this process is killed.
struct Provider(Child);

impl Provider {
    fn start(context: &Context, args: &Demo) -> Result<Self, Failure> {
        let failed = |why: io::Error| Failure::system("start a provider", &why);
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(["serve", "cgroups", "--until-eof", "--rescan", "5s", "--run-dir"]);
        command.arg(&context.run_dir);
        if let Some(root) = &args.cgroup_root {
            command.arg("--cgroup-root").arg(root);
        }
        // By the environment, where other users do not see it.
        command.env("NETIPC_AUTH", context.token.number().to_string());
        // Its input ends with this process. What it says would disturb the picture.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut provider = Provider(command.spawn().map_err(failed)?);
        provider.await_readiness(&context.run_dir)?;
        Ok(provider)
    }

    /// Waits until it listens, or fails with what it said when it ended instead.
    fn await_readiness(&mut self, dir: &Path) -> Result<(), Failure> {
        let failed = |why: io::Error| Failure::system("start a provider", &why);
        let stderr = self.0.stderr.take();
        let Some(mut stderr) = stderr else { return Ok(()) };
        // It says one line when it serves, or one when it does not.
        let mut said = Vec::new();
        let mut byte = [0];
        while io::Read::read(&mut stderr, &mut byte).map_err(failed)? == 1 && byte[0] != b'\n' {
            said.push(byte[0]);
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        if !said.contains("serving") {
            let dir = dir.display();
            return Err(Failure::new(Exit::Failed, format_args!("serve in {dir}: {said}")));
        }
        // Kept open, so that what it says later does not kill it.
        self.0.stderr = Some(stderr);
        Ok(())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that nobody else enters, removed with all that is in it when dropped.
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn make() -> Result<Self, Failure> {
        let base = std::env::temp_dir();
        for attempt in 0..100 {
            let dir = base.join(format!("netipc-demo-{}-{attempt}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(PrivateDir(dir)),
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
                Err(why) => {
                    return Err(Failure::system(format_args!("make {}", dir.display()), &why));
                }
            }
        }
        let base = base.display();
        Err(Failure::new(Exit::Failed, format_args!("make a directory in {base}: all are taken")))
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        // Nothing more can be done about what cannot be removed.
        let _ = fs::remove_dir_all(&self.0);
    }
}
