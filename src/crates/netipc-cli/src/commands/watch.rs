//! `netipc watch`: follows all cgroups as they come and go.

use std::{
    collections::BTreeSet,
    io,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::dashboard::{Scroll, state_line, table_lines};
use crate::{
    args::Watch,
    bell::wait,
    context::Context,
    failure::Failure,
    follow::{Follower, View},
    rows::{self, SnapshotRow},
    signals::Signals,
    term::{
        escape,
        output::{self, Stop, note},
        screen::{Event, Screen},
        style::{self, paint},
        table::{Cut, shorten},
    },
};

/// Follows until interrupted: on a terminal as a picture of the present, elsewhere as a list of
/// what came and went.
///
/// # Errors
///
/// The system has no descriptors or threads left, or nobody reads what is printed.
pub fn run(context: &mut Context, args: Watch) -> Result<(), Stop> {
    let failed = |why: io::Error| Failure::system("follow cgroups", &why);
    let signals = Signals::take().map_err(failed)?;
    let follower = Follower::start(context, args.interval).map_err(failed)?;
    if context.out.is_terminal() && !context.common.json {
        live(context, signals, &follower, args.count)
    } else {
        list(context, &signals, &follower, args.count)
    }
}

fn live(
    context: &mut Context,
    signals: Signals,
    follower: &Follower,
    count: Option<u64>,
) -> Result<(), Stop> {
    let mut screen = Screen::take(signals)?;
    let mut scroll = Scroll::default();
    loop {
        let view = follower.view();
        let look = context.out.look();
        let fit = |text: &str| shorten(text, look.width.unwrap_or(usize::MAX), Cut::Back);
        let title = fit(&format!("cgroups of {}    q quits", escape::path(&context.run_dir)));
        let mut lines = vec![paint(&title, style::TITLE, look.colors), state_line(&view, look)];
        if !view.fresh
            && let Some(error) = &view.error
        {
            let error = fit(&escape::bytes(error.as_bytes()));
            lines.push(paint(&error, style::FAINT, look.colors));
        }
        lines.push(String::new());
        let height = output::size().1.saturating_sub(lines.len());
        lines.extend(table_lines(&view, Some(&mut scroll), look, height));
        screen.draw(&lines)?;
        if count.is_some_and(|count| view.refreshes.count >= count) {
            return Ok(());
        }
        // Short enough for the age of the data to move.
        match screen.wait(Instant::now() + Duration::from_millis(200))? {
            Event::Quit => return Ok(()),
            Event::Key(key) => scroll.go(key, view.rows.len(), height.saturating_sub(2)),
            Event::Due | Event::Redraw => {}
        }
    }
}

fn list(
    context: &mut Context,
    signals: &Signals,
    follower: &Follower,
    count: Option<u64>,
) -> Result<(), Stop> {
    let mut changes = Changes::default();
    loop {
        // A reader that went away is noticed even if there is nothing to tell.
        let due = Instant::now() + Duration::from_millis(500);
        wait(&[signals.end(), follower.done()], due).map_err(Stop::from)?;
        if signals.has_ended() {
            return Ok(());
        }
        if is_closed() {
            return Err(Stop::OutputClosed);
        }
        if !follower.take() {
            continue;
        }
        let view = follower.view();
        changes.print(context, &view)?;
        if count.is_some_and(|count| view.refreshes.count >= count) {
            return Ok(());
        }
    }
}

/// Whether nobody reads standard output any more.
fn is_closed() -> bool {
    let stdout = io::stdout();
    let mut ready = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = PollFlags::ERR | PollFlags::NVAL;
    poll(&mut ready, Some(&now)).is_ok() && ready[0].revents().intersects(gone)
}

/// What was told last.
#[derive(Default)]
struct Changes {
    rows: BTreeSet<SnapshotRow>,
    error: Option<String>,
    was_fresh: bool,
}

/// One change, for programs.
#[derive(Serialize)]
struct Change<'a> {
    change: &'static str,
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a SnapshotRow>,
}

impl Changes {
    fn print(&mut self, context: &mut Context, view: &View) -> Result<(), Stop> {
        if !view.fresh {
            // Told once for each reason; the cgroups stay what they were.
            if self.error != view.error {
                self.error.clone_from(&view.error);
                let error = view.error.as_deref().unwrap_or("no answer");
                if context.common.json {
                    let generation = view.generation;
                    let change = "lost";
                    let error = Some(error);
                    context.out.json(&Change { change, generation, error, item: None })?;
                } else {
                    note(error);
                }
            }
            self.was_fresh = false;
            return Ok(());
        }
        self.error = None;
        if !self.was_fresh {
            self.was_fresh = true;
            self.connected(context, view)?;
        }
        let rows: BTreeSet<_> = view.rows.iter().cloned().collect();
        for gone in self.rows.difference(&rows) {
            self.change(context, view, "gone", '-', gone)?;
        }
        for new in rows.difference(&self.rows) {
            self.change(context, view, "new", '+', new)?;
        }
        context.out.flush()?;
        self.rows = rows;
        Ok(())
    }

    fn connected(&self, context: &mut Context, view: &View) -> Result<(), Stop> {
        if context.common.json {
            let generation = view.generation;
            let change = "connected";
            return Ok(context.out.json(&Change {
                change,
                generation,
                error: None,
                item: None,
            })?);
        }
        let transport = view.carrier.map_or("nothing", rows::carrier_words);
        let items = rows::count(view.rows.len(), "cgroup");
        note(format_args!("connected over {transport}: {items}"));
        Ok(())
    }

    fn change(
        &self,
        context: &mut Context,
        view: &View,
        change: &'static str,
        mark: char,
        row: &SnapshotRow,
    ) -> Result<(), Stop> {
        if context.common.json {
            let generation = view.generation;
            context.out.json(&Change { change, generation, error: None, item: Some(row) })?;
        } else {
            let enabled = if row.enabled == 0 { "disabled" } else { "enabled" };
            let (name, path) = (escape::bytes(&row.name), escape::bytes(&row.path));
            context.out.line(format_args!("{mark} {name} {enabled} {path}"))?;
        }
        Ok(())
    }
}
