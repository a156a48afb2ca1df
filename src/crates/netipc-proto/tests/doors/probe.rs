//! What tests know of each kind beyond what the library does: how to look at all of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use netipc_proto::{
    Declined, Found, Keys, Labels, Lookup, Malformed, Replies, Service, Text,
    kinds::{
        AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, Orchestrator, StringReverse,
        apps_lookup, cgroups_lookup, cgroups_snapshot,
    },
};

/// A look at a message, which remembers what it saw. It allocates nothing.
pub struct Look<'m> {
    message: &'m [u8],
    seen: DefaultHasher,
}

impl<'m> Look<'m> {
    /// Looks at a message and says what there was to see, wherever in the message it lay.
    pub fn at(message: &'m [u8], look_at: impl FnOnce(&mut Self)) -> u64 {
        let mut look = Look { message, seen: DefaultHasher::new() };
        look_at(&mut look);
        look.seen.finish()
    }

    fn value(&mut self, value: impl Hash) {
        value.hash(&mut self.seen);
    }

    /// Reads every byte of a text, which must lie in the message.
    fn text(&mut self, text: Text<'_>) {
        let (bytes, message) = (text.as_bytes().as_ptr_range(), self.message.as_ptr_range());
        let is_inside = message.start <= bytes.start && bytes.end <= message.end;
        assert!(text.is_empty() || is_inside, "bytes from outside the message");
        self.value(text);
    }

    fn labels(&mut self, labels: Labels<'_>) {
        self.value(labels.len());
        for (index, (key, value)) in labels.iter().enumerate() {
            assert_eq!(labels.get(index), Some((key, value)), "one by one they are the same");
            self.text(key);
            self.text(value);
        }
    }
}

/// A kind that can be looked at, written again and answered.
pub trait Probe: Service {
    /// Looks at all there is in a request.
    fn look_at_request(asked: &Self::RequestView<'_>, look: &mut Look<'_>);

    /// Looks at all there is in a reply.
    fn look_at_reply(reply: &Self::ReplyView<'_>, look: &mut Look<'_>) -> Result<(), Malformed>;

    /// A request that says the same.
    fn request_again(asked: &Self::RequestView<'_>) -> Vec<u8>;

    /// A reply that says the same, if a handler can say it.
    fn reply_again(reply: &Self::ReplyView<'_>) -> Option<Vec<u8>>;

    /// Answers something that depends on nothing but what was asked.
    fn answer(
        asked: &Self::RequestView<'_>,
        reply: &mut Self::ReplyBuilder<'_>,
    ) -> Result<(), Declined>;
}

impl Probe for Increment {
    fn look_at_request(asked: &u64, look: &mut Look<'_>) {
        look.value(asked);
    }

    fn look_at_reply(reply: &u64, look: &mut Look<'_>) -> Result<(), Malformed> {
        look.value(reply);
        Ok(())
    }

    fn request_again(asked: &u64) -> Vec<u8> {
        request::<Increment>(*asked)
    }

    fn reply_again(reply: &u64) -> Option<Vec<u8>> {
        Some(write_reply::<Increment>(&request::<Increment>(0), 8, |to| to.value = *reply))
    }

    fn answer(asked: &u64, reply: &mut Self::ReplyBuilder<'_>) -> Result<(), Declined> {
        reply.value = asked.checked_add(1).ok_or(Declined::Failed)?;
        Ok(())
    }
}

impl Probe for StringReverse {
    fn look_at_request(asked: &Text<'_>, look: &mut Look<'_>) {
        look.text(*asked);
    }

    fn look_at_reply(reply: &Text<'_>, look: &mut Look<'_>) -> Result<(), Malformed> {
        look.text(*reply);
        Ok(())
    }

    fn request_again(asked: &Text<'_>) -> Vec<u8> {
        request::<StringReverse>(asked.as_bytes())
    }

    fn reply_again(reply: &Text<'_>) -> Option<Vec<u8>> {
        let length = StringReverse::encoded_len(reply.len());
        Some(write_reply::<StringReverse>(&request::<StringReverse>(b""), length, |to| {
            to.set(reply.as_bytes()).expect("there is room");
        }))
    }

    fn answer(asked: &Text<'_>, reply: &mut Self::ReplyBuilder<'_>) -> Result<(), Declined> {
        let room = reply.room().get_mut(..asked.len()).ok_or(Declined::Full)?;
        room.copy_from_slice(asked.as_bytes());
        room.reverse();
        Ok(reply.set_len(asked.len())?)
    }
}

impl Probe for CgroupsSnapshot {
    fn look_at_request(_: &Self::RequestView<'_>, _: &mut Look<'_>) {}

    fn look_at_reply(reply: &Self::ReplyView<'_>, look: &mut Look<'_>) -> Result<(), Malformed> {
        look.value((reply.item_count, reply.systemd_enabled, reply.generation));
        for (index, item) in (0..).zip(reply.iter()) {
            assert_eq!(reply.item(index), item, "one by one they are the same");
            let item = item?;
            look.value((item.hash, item.options, item.enabled));
            look.text(item.name);
            look.text(item.path);
        }
        Ok(())
    }

    fn request_again(_: &Self::RequestView<'_>) -> Vec<u8> {
        request::<CgroupsSnapshot>(())
    }

    fn reply_again(reply: &Self::ReplyView<'_>) -> Option<Vec<u8>> {
        let items = reply.iter().collect::<Result<Vec<_>, _>>().ok()?;
        let item_len = |item: &cgroups_snapshot::Cgroup<'_>| item.name.len() + item.path.len() + 56;
        let length = 24 + items.iter().map(item_len).sum::<usize>();
        Some(write_reply::<Self>(&request::<Self>(()), length, |to| {
            (to.systemd_enabled, to.generation) = (reply.systemd_enabled, reply.generation);
            items.iter().for_each(|item| to.push(item).expect("there is room"));
        }))
    }

    fn answer(
        _: &Self::RequestView<'_>,
        reply: &mut Self::ReplyBuilder<'_>,
    ) -> Result<(), Declined> {
        (reply.systemd_enabled, reply.generation) = (1, GENERATION);
        for hash in 0..20 {
            let name = &NAMES[..hash as usize % NAMES.len()];
            let (name, path) = (Text::new(name), Text::new(NAMES));
            reply.push(&cgroups_snapshot::Cgroup { hash, options: 0, enabled: 1, name, path })?;
        }
        Ok(())
    }
}

impl Probe for CgroupsLookup {
    fn look_at_request(asked: &Keys<'_, Self>, look: &mut Look<'_>) {
        look_at_keys(asked, look, |look, path| look.text(Text::new(path)));
    }

    fn look_at_reply(reply: &Found<'_, Self>, look: &mut Look<'_>) -> Result<(), Malformed> {
        look.value((reply.generation, reply.len()));
        for (index, item) in (0..).zip(reply.iter()) {
            let again = reply.get(index).expect("every item").value;
            assert_eq!(again, item.value, "one by one they are the same");
            look.text(Text::new(item.key));
            look.value(item.value.is_ok());
            if let Ok(cgroups_lookup::Cgroup::Known { orchestrator, name, labels }) = item.value {
                look.value(orchestrator);
                look.text(name);
                look.labels(labels);
            }
        }
        Ok(())
    }

    fn request_again(asked: &Keys<'_, Self>) -> Vec<u8> {
        request::<Self>(&asked.iter().collect::<Vec<_>>())
    }

    fn reply_again(reply: &Found<'_, Self>) -> Option<Vec<u8>> {
        let keys: Vec<_> = reply.iter().map(|item| item.key).collect();
        lookup_again(reply, &request::<Self>(&keys))
    }

    fn answer(asked: &Keys<'_, Self>, reply: &mut Replies<'_, Self>) -> Result<(), Declined> {
        use cgroups_lookup::Cgroup;

        reply.generation = GENERATION;
        for path in asked.iter() {
            let variant = Look::at(path, |look| look.value(path));
            let (name, labels) = (&NAMES[..variant as usize / 8 % NAMES.len()], LABELS);
            let known = Cgroup::Known {
                orchestrator: Orchestrator(variant as u16),
                name: Text::new(name),
                labels: Labels::new(&labels[..variant as usize / 8 % (LABELS.len() + 1)]),
            };
            reply.push(match variant % 8 {
                0 => &Cgroup::RetryLater,
                1 => &Cgroup::Unknown,
                _ => &known,
            })?;
        }
        Ok(())
    }
}

impl Probe for AppsLookup {
    fn look_at_request(asked: &Keys<'_, Self>, look: &mut Look<'_>) {
        look_at_keys(asked, look, |look, pid| look.value(pid));
    }

    fn look_at_reply(reply: &Found<'_, Self>, look: &mut Look<'_>) -> Result<(), Malformed> {
        use apps_lookup::Cgroup;

        look.value((reply.generation, reply.len()));
        for (index, item) in (0..).zip(reply.iter()) {
            let again = reply.get(index).expect("every item").value;
            assert_eq!(again, item.value, "one by one they are the same");
            look.value((item.key, item.value.is_ok()));
            let Ok(Some(process)) = item.value else { continue };
            look.value((process.ppid, process.uid, process.starttime));
            look.text(process.comm);
            match process.cgroup {
                Cgroup::Known { orchestrator, path, name, labels } => {
                    look.value(orchestrator);
                    look.text(path);
                    look.text(name);
                    look.labels(labels);
                }
                Cgroup::RetryLater { path } | Cgroup::Unknown { path } => look.text(path),
                Cgroup::HostRoot => {}
            }
        }
        Ok(())
    }

    fn request_again(asked: &Keys<'_, Self>) -> Vec<u8> {
        request::<Self>(&asked.iter().collect::<Vec<_>>())
    }

    fn reply_again(reply: &Found<'_, Self>) -> Option<Vec<u8>> {
        let keys: Vec<_> = reply.iter().map(|item| item.key).collect();
        lookup_again(reply, &request::<Self>(&keys))
    }

    fn answer(asked: &Keys<'_, Self>, reply: &mut Replies<'_, Self>) -> Result<(), Declined> {
        use apps_lookup::{COMM_MAX, Cgroup, Process};

        reply.generation = GENERATION;
        for pid in asked.iter() {
            let (name, labels) = (&NAMES[..pid as usize / 8 % NAMES.len()], LABELS);
            let path = Text::new(NAMES);
            let cgroup = match pid % 8 {
                0 => Cgroup::HostRoot,
                1 => Cgroup::RetryLater { path: Text::new(name) },
                2 => Cgroup::Unknown { path },
                _ => Cgroup::Known {
                    orchestrator: Orchestrator(pid as u16),
                    path,
                    name: Text::new(name),
                    labels: Labels::new(&labels[..pid as usize / 8 % (LABELS.len() + 1)]),
                },
            };
            let comm = Text::new(&NAMES[..1 + pid as usize % COMM_MAX]);
            let known = Process { ppid: 1, uid: Some(pid), starttime: 77, comm, cgroup };
            reply.push(&(pid % 16 != 7).then_some(known))?;
        }
        Ok(())
    }
}

/// Text to make answers of.
const NAMES: &[u8] = b"a name to make answers of that are sometimes a little longer than others";
const LABELS: &[(&[u8], &[u8])] = &[(b"image", b"nginx:latest"), (b"pod", b""), (b"pod", NAMES)];
const GENERATION: u64 = 9;

fn look_at_keys<L: Lookup>(
    asked: &Keys<'_, L>,
    look: &mut Look<'_>,
    look_at: impl Fn(&mut Look<'_>, L::Key<'_>),
) {
    look.value(asked.len());
    for (index, key) in (0..).zip(asked.iter()) {
        let again = asked.get(index).expect("every key");
        assert!(again == key, "one by one they are the same");
        look_at(look, key);
    }
}

/// The reply of a handler that answers the same.
///
/// None if a value is missing: a handler cannot say that, only the lack of room does.
fn lookup_again<L: Lookup>(found: &Found<'_, L>, request: &[u8]) -> Option<Vec<u8>> {
    let values: Vec<_> = found.iter().map(|item| item.value.ok()).collect::<Option<_>>()?;
    let length = 16 + found.raw().map(|item| item.len() + 16).sum::<usize>();
    Some(write_reply::<L>(request, length, |to| {
        to.generation = found.generation;
        values.iter().for_each(|value| to.push(value).expect("there is room"));
    }))
}

fn request<S: Service>(request: S::Request<'_>) -> Vec<u8> {
    let mut out = vec![0xAA; S::request_len(request)];
    assert_eq!(S::write_request(request, &mut out), Ok(out.len()));
    out
}

fn write_reply<S: Service>(
    request: &[u8],
    room: usize,
    fill: impl FnOnce(&mut S::ReplyBuilder<'_>),
) -> Vec<u8> {
    let mut out = vec![0xAA; room];
    let asked = S::read_request(request).expect("it was written");
    let mut reply = S::build_reply(&asked, &mut out).expect("there is room");
    fill(&mut reply);
    let length = S::finish_reply(reply).expect("it is complete");
    out.truncate(length);
    out
}
