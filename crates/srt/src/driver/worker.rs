//! A worker thread: socket readiness, deadlines and orders of the application in; datagrams and messages out.
//!
//! A turn of the loop: take the mail; receive what has arrived and route it; let every connection that something happened
//! to, or whose deadline has come, do its part once; hand the datagrams to the system; sleep. Everything a worker serves is
//! its own, so the packet path needs no lock but that of the hand-over.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering, mpsc},
};

use srt_bonding::{Group, GroupSetup, LinkId};
use srt_io::{Clock, Events, Interest, Poller, RecvBatch, UdpSocket};
use srt_protocol::{
    config::Config,
    connection::{CallerSetup, Connection, ConnectionError},
    endpoint::{AcceptError, Incoming, Route},
    handshake::RejectReason,
    time::Instant,
    types::SocketId,
};

use super::{
    bond::{self, Bond, GroupFace, LinkPlan},
    callbacks::Callbacks,
    carried::{Carried, Machine, Outcome, Tools},
    handover::Handover,
    inbox::{Command, Inbox, Mail},
    listening::{ConnectRequest, Decision, Listening},
    pace::Pace,
    port::{self, Lease, PortShared, Registry},
    slab::Slab,
    timers::Timers,
    wire::Wire,
};

/// One worker: lives on its thread and ends with it.
#[derive(Debug)]
pub(super) struct Worker {
    inbox: Arc<Inbox>,
    callbacks: Arc<Callbacks>,
    /// Where names are looked up and ports opened for the links of groups.
    openers: Arc<Callbacks>,
    /// Held also so that ports can be given back however late it is.
    registry: Arc<Registry>,
    poller: Poller,
    clock: Clock,
    events: Events,
    arrived: RecvBatch,
    wires: Slab<Wire>,
    carried: Slab<Carried>,
    wire_timers: Timers,
    timers: Timers,
    /// Connections that have a turn before the worker sleeps.
    due: Vec<u32>,
    /// Ports with something to send, or with a caller to be decided on.
    busy: Vec<u32>,
    ended: Vec<u32>,
    tools: Tools,
    mail: Mail,
    pace: Pace,
    /// Deadlines and datagrams of this turn.
    things: usize,
    /// And what the application asked for.
    own: usize,
    /// A socket had more than was received.
    more: bool,
    /// The end was ordered.
    finishing: bool,
}

impl Worker {
    pub(super) fn new(
        inbox: Arc<Inbox>,
        (callbacks, openers): (Arc<Callbacks>, Arc<Callbacks>),
        registry: Arc<Registry>,
        poller: Poller,
    ) -> Self {
        Self {
            inbox,
            callbacks,
            openers,
            registry,
            poller,
            clock: Clock::new(),
            events: Events::default(),
            arrived: RecvBatch::new(),
            wires: Slab::default(),
            carried: Slab::default(),
            wire_timers: Timers::default(),
            timers: Timers::default(),
            due: Vec::new(),
            busy: Vec::new(),
            ended: Vec::new(),
            tools: Tools::default(),
            mail: Mail::default(),
            pace: Pace::default(),
            things: 0,
            own: 0,
            more: false,
            finishing: false,
        }
    }

    /// Works until the end is ordered and everything has come to its end.
    pub(super) fn run(mut self) {
        if let Err(error) = srt_io::set_timer_slack_ns(1) {
            tracing::debug!(%error, "timers of this thread are as imprecise as the system's default");
        }
        while !(self.finishing && self.carried.is_empty() && self.wires.is_empty()) {
            let begun = self.now();
            (self.things, self.own, self.more) = (self.events.len(), 0, false);
            self.read_mail(begun);
            self.serve_sockets();
            let now = self.now();
            self.serve_timers(now);
            self.pace.begin(begun, self.things, self.own);
            self.serve_connections(now);
            self.pace.end(now, std::mem::take(&mut self.tools.moved), std::mem::take(&mut self.tools.paced));
            self.serve_ports(now);
            self.bury(now);
            self.tools.calls.make();
            if let Err(error) = self.sleep() {
                tracing::error!(%error, "a worker cannot wait for its sockets and ends");
                break;
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.clock.now_micros())
    }

    /// Waits for readiness, a deadline or mail; not at all if something is left to do.
    fn sleep(&mut self) -> io::Result<()> {
        let next = match (self.timers.next(), self.wire_timers.next()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let at_once =
            !self.due.is_empty() || self.finishing && self.carried.is_empty() && self.wires.is_empty();
        if !at_once
            && !self.more
            && let Some(until) = self.pace.sleeps_until(next)
        {
            // Nobody wakes us meanwhile, and nobody has to: whoever has something for us finds us awake.
            srt_io::sleep_until(until.as_micros());
        }
        let deadline =
            if at_once || !self.inbox.may_sleep() { Some(0) } else { next.map(Instant::as_micros) };
        let result = self.poller.wait(&mut self.events, deadline);
        self.inbox.awake();
        result
    }

    // ---- what comes in -----------------------------------------------------------------------------------------

    fn read_mail(&mut self, now: Instant) {
        let mut mail = std::mem::take(&mut self.mail);
        self.inbox.take(&mut mail);
        self.own = mail.commands.len() + mail.touched.len();
        self.things += self.own;
        for command in mail.commands.drain(..) {
            self.obey(now, command);
        }
        for handover in mail.touched.drain(..) {
            if let Some(carried) = self.carried.get_mut(handover.slot()) {
                carried.touched = true;
                self.make_due(handover.slot());
            }
        }
        self.mail = mail;
    }

    fn obey(&mut self, now: Instant, command: Command) {
        match command {
            Command::Open { port, socket, cookie_secret } => self.open(port, *socket, cookie_secret),
            Command::Shut { port } => self.shut(&port),
            Command::Connect { handover, lease, setup } => self.connect(now, handover, lease, *setup),
            Command::Listen { listening, lease } => self.listen(listening, lease),
            Command::Unlisten { listening, done } => self.unlisten(&listening, done),
            Command::Decide { listening, incoming, decision } => {
                self.decide(now, &listening, &incoming, decision)
            }
            Command::Close { handover, abort } => {
                if let Some(carried) = self.carried.get_mut(handover.slot()) {
                    carried.close(now, abort, &mut self.tools);
                    self.make_due(handover.slot());
                }
            }
            Command::Set { handover, option, value } => {
                if let Some(carried) = self.carried.get_mut(handover.slot()) {
                    // What was sent before the change goes as it was then.
                    carried.fetch(now, &mut self.tools);
                    if let Err(error) = carried.machine.set_option(now, option, value) {
                        tracing::error!(%error, "an option that was allowed is not");
                    }
                    self.make_due(handover.slot());
                }
            }
            Command::Group { handover, setup, links } => self.start_group(now, handover, *setup, links),
            Command::CallLink { handover, link, opened } => self.call_link(now, &handover, link, opened),
            Command::AddLink { handover, plan, told } => {
                let key = handover.slot();
                let link = self.bond_mut(key).and_then(|bond| bond.add(now, *plan));
                told.send(link).ok();
                self.make_due(key);
            }
            Command::RemoveLink { handover, link } => {
                let key = handover.slot();
                if let Some(bond) = self.bond_mut(key) {
                    bond.group.remove_link(now, link);
                }
                self.make_due(key);
            }
            Command::Finish { abort } => self.finish(abort),
        }
    }

    /// Receives one batch from each socket that has something, and goes on sending where the system takes it again.
    fn serve_sockets(&mut self) {
        for index in 0..self.events.len() {
            let Some(event) = self.events.get(index) else { break };
            let Ok(key) = u32::try_from(event.token) else { continue };
            if event.writable {
                self.unblock(key);
            }
            if event.readable {
                self.receive(key);
            }
        }
    }

    fn receive(&mut self, key: u32) {
        let Some(wire) = self.wires.get_mut(key) else { return };
        match wire.socket.recv_batch(&mut self.arrived) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                tracing::debug!(local = %wire.shared.local(), %error, "receiving failed");
                return;
            }
        }
        let now = Instant::from_micros(self.clock.now_micros());
        let (mut handshakes, mut memory) = (false, 0);
        for item in self.arrived.iter() {
            self.tools.moved += item.data.len();
            memory += item.data.len() + MESSAGE_OVERHEAD;
            let from = srt_io::to_canonical(item.from);
            let to = item.to.map(|ip| ip.to_canonical());
            for datagram in item.datagrams() {
                match wire.endpoint.handle_datagram(now, from, to, datagram) {
                    Route::Connection(id) => {
                        let Some(key) = wire.route(id) else { continue };
                        let Some(carried) = self.carried.get_mut(key) else { continue };
                        carried.machine.handle_datagram(now, id, datagram);
                        if carried.local_ip.is_none() {
                            carried.local_ip = to;
                        }
                        if !std::mem::replace(&mut carried.due, true) {
                            self.due.push(key);
                        }
                    }
                    Route::Handled => handshakes = true,
                    _ => {}
                }
            }
        }
        self.more |= self.arrived.is_full();
        // The system's buffer holds twice what it is said to, its own needs included.
        wire.backlog = if self.arrived.is_full() { wire.backlog + memory } else { memory };
        if wire.backlog > wire.socket.granted_buffers().receive as usize / 2 {
            wire.backlog = 0;
            if !wire.socket.grow_receive_buffer() {
                self.pace.too_long();
            }
        }
        wire.publish();
        if handshakes {
            self.make_busy(key);
        }
    }

    /// The system takes datagrams again.
    fn unblock(&mut self, key: u32) {
        let Some(wire) = self.wires.get_mut(key) else { return };
        wire.flush(&mut self.tools.spares);
        let ready = if wire.is_blocked() { Vec::new() } else { wire.take_patient() };
        for connection in ready {
            self.make_due(connection);
        }
        self.make_busy(key);
    }

    // ---- what goes out -----------------------------------------------------------------------------------------

    fn serve_timers(&mut self, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            self.things += 1;
            if let Some(carried) = self.carried.get_mut(key) {
                carried.machine.handle_timeout(now);
                self.make_due(key);
            }
        }
        while let Some(key) = self.wire_timers.pop_due(now) {
            if let Some(wire) = self.wires.get_mut(key) {
                wire.endpoint.handle_timeout(now);
                self.make_busy(key);
            }
        }
    }

    /// Gives every connection that is due one turn.
    fn serve_connections(&mut self, now: Instant) {
        let mut due = std::mem::take(&mut self.due);
        for key in due.drain(..) {
            self.turn(now, key);
        }
        if self.due.is_empty() {
            self.due = due;
        }
    }

    fn turn(&mut self, now: Instant, key: u32) {
        let Some(carried) = self.carried.get_mut(key) else { return };
        carried.due = false;
        let next = match carried.turn(now, &mut self.wires, &mut self.tools) {
            Outcome::Sleep(next) => next,
            Outcome::Again => {
                carried.due = true;
                self.due.push(key);
                None
            }
            Outcome::Blocked(next, port) => {
                if let Some(wire) = self.wires.get_mut(port) {
                    wire.wait_for_room(key);
                }
                next
            }
            Outcome::Ended => {
                self.ended.push(key);
                None
            }
        };
        self.timers.set(key, next);
        let mut index = 0;
        while let Some(port) = self.carried.get(key).and_then(|carried| carried.machine.port(index)) {
            self.note_unsent(port);
            index += 1;
        }
        self.serve_links();
    }

    /// What a port has to send is handed to the system before the worker sleeps.
    fn note_unsent(&mut self, port: u32) {
        if self.wires.get_mut(port).is_some_and(|wire| wire.has_unsent()) {
            self.make_busy(port);
        }
    }

    /// Gives back the ports of links that are no more, and has those opened that are wanted.
    fn serve_links(&mut self) {
        for way in std::mem::take(&mut self.tools.closed) {
            self.leave_port(way.port, way.socket, way.lease);
        }
        for (handover, link, plan, tries) in std::mem::take(&mut self.tools.wanted) {
            let (registry, inbox) = (Arc::clone(&self.registry), Arc::clone(&self.inbox));
            let job = move || bond::open_link(&registry, &inbox, handover, link, plan, tries);
            if let Err(error) = self.openers.run(job) {
                tracing::error!(%error, "no thread to open the links of groups");
            }
        }
    }

    fn leave_port(&mut self, port: u32, socket: SocketId, lease: Lease) {
        if let Some(wire) = self.wires.get_mut(port) {
            if !wire.is_blocked() {
                wire.flush(&mut self.tools.spares);
            }
            wire.remove(socket);
        }
        let closed = lease.end();
        self.shut_all(&closed);
    }

    fn bond_mut(&mut self, key: u32) -> Option<&mut Bond> {
        match &mut self.carried.get_mut(key)?.machine {
            Machine::Many(bond) => Some(bond),
            Machine::One { .. } => None,
        }
    }

    /// Decides on callers, and hands to the system what the connections want sent.
    fn serve_ports(&mut self, now: Instant) {
        while let Some(key) = self.busy.pop() {
            self.ask_about_callers(now, key);
            let Some(wire) = self.wires.get_mut(key) else { continue };
            wire.busy = false;
            wire.transmit(ANSWERS, &mut self.tools.spares, |endpoint, batch| endpoint.poll_transmit(batch));
            if !wire.is_blocked() {
                wire.flush(&mut self.tools.spares);
            }
            if wire.awaited != wire.is_blocked() {
                wire.awaited = wire.is_blocked();
                watch(&self.poller, wire, key);
            }
            wire.publish();
            self.wire_timers.set(key, wire.endpoint.next_timeout());
        }
    }

    /// Takes leave of the connections that have ended.
    fn bury(&mut self, now: Instant) {
        while let Some(key) = self.ended.pop() {
            let Some(carried) = self.carried.remove(key) else { continue };
            self.timers.set(key, None);
            let Carried { mut machine, handover, unsent, .. } = carried;
            let reason = machine.close_reason().unwrap_or(ConnectionError::Closed);
            bid_farewell(&handover, reason, Some((&machine, now, unsent)), &mut self.tools);
            if let Machine::Many(bond) = &mut machine {
                for way in bond.ways.drain(..) {
                    self.leave_port(way.port, way.socket, way.lease);
                }
            }
            if let Machine::One { port, lease, .. } = machine {
                self.leave_port(port, handover.id(), lease);
            }
        }
    }

    fn make_due(&mut self, key: u32) {
        if let Some(carried) = self.carried.get_mut(key)
            && !std::mem::replace(&mut carried.due, true)
        {
            self.due.push(key);
        }
    }

    fn make_busy(&mut self, key: u32) {
        if let Some(wire) = self.wires.get_mut(key)
            && !std::mem::replace(&mut wire.busy, true)
        {
            self.busy.push(key);
        }
    }

    // ---- ports -------------------------------------------------------------------------------------------------

    fn open(&mut self, port: Arc<PortShared>, socket: UdpSocket, cookie_secret: [u8; 16]) {
        let key = self.wires.insert(Wire::new(Arc::clone(&port), socket, cookie_secret));
        port.set_slot(key);
        if let Some(wire) = self.wires.get(key)
            && let Err(error) = self.poller.add(&wire.socket, u64::from(key), Interest::READABLE)
        {
            // Out of memory or of watches: whoever wants to use the port finds it gone.
            tracing::error!(local = %port.local(), %error, "a UDP port cannot be watched");
            self.wires.remove(key);
            port.set_slot(super::slab::NOWHERE);
        }
    }

    /// Closes the UDP socket, which nobody uses any more.
    fn shut(&mut self, port: &Arc<PortShared>) {
        if let Some(mut wire) = self.wires.remove(port.slot()) {
            wire.flush(&mut self.tools.spares);
            self.poller.remove(&wire.socket).ok();
            self.wire_timers.set(port.slot(), None);
        }
        port.set_slot(super::slab::NOWHERE);
        port.closed();
    }

    /// The last user of a port is gone: our socket of it is closed now, those of other workers by them.
    fn shut_all(&mut self, ports: &[Arc<PortShared>]) {
        for port in ports {
            if Arc::ptr_eq(port.inbox(), &self.inbox) {
                self.shut(port);
            } else {
                port::close(port);
            }
        }
    }

    fn listen(&mut self, listening: Arc<Listening>, lease: Lease) {
        let Some(wire) = self.wires.get_mut(lease.port().slot()).filter(|_| !self.finishing) else {
            listening.close(false);
            let closed = lease.end();
            self.shut_all(&closed);
            return;
        };
        wire.endpoint.listen(listening.config.clone(), listening.backlog);
        if let Some((earlier, lease)) = wire.listening.replace((listening, lease)) {
            // It is closed, and the order to end it comes after that to start the next one.
            earlier.end();
            let closed = lease.end();
            self.shut_all(&closed);
        }
    }

    fn unlisten(&mut self, listening: &Arc<Listening>, done: Option<mpsc::Sender<()>>) {
        let key = listening.port_of(&self.inbox).map_or(super::slab::NOWHERE, |port| port.slot());
        if let Some(wire) = self.wires.get_mut(key)
            && let Some((_, lease)) = wire.listening.take_if(|(current, _)| Arc::ptr_eq(current, listening))
        {
            wire.endpoint.stop_listening();
            wire.transmit(ANSWERS, &mut self.tools.spares, |endpoint, batch| endpoint.poll_transmit(batch));
            self.make_busy(key);
            let closed = lease.end();
            self.shut_all(&closed);
        }
        if let Some(done) = done {
            done.send(()).ok();
        }
    }

    // ---- connections -------------------------------------------------------------------------------------------

    fn connect(&mut self, now: Instant, handover: Arc<Handover>, lease: Lease, setup: CallerSetup) {
        let port = lease.port().slot();
        let Some(wire) = self.wires.get_mut(port).filter(|_| !self.finishing) else {
            bid_farewell(&handover, ConnectionError::Closed, None, &mut self.tools);
            return;
        };
        wire.endpoint.register(setup.id, setup.peer);
        let local_ip = setup.local_ip;
        let id = handover.id();
        let connection = Box::new(Connection::connect(now, setup));
        let machine = Machine::One { connection, port, lease };
        let key = self.add(Carried::new(machine, handover, None, local_ip));
        self.lead(port, id, key);
    }

    fn add(&mut self, carried: Carried) -> u32 {
        let handover = Arc::clone(&carried.handover);
        let key = self.carried.insert(carried);
        handover.set_slot(key);
        self.make_due(key);
        key
    }

    /// What comes by a port for `socket` is for the connection or group under `key`.
    fn lead(&mut self, port: u32, socket: SocketId, key: u32) {
        if let Some(wire) = self.wires.get_mut(port) {
            wire.add(socket, key);
        }
    }

    fn start_group(
        &mut self,
        now: Instant,
        handover: Arc<Handover>,
        setup: GroupSetup,
        links: Vec<LinkPlan>,
    ) {
        let Some(face) = handover.group().filter(|_| !self.finishing).cloned() else {
            bid_farewell(&handover, ConnectionError::Closed, None, &mut self.tools);
            return;
        };
        let mut bond = Bond::new(Group::connect(now, setup), face);
        for link in links {
            bond.add(now, link);
        }
        self.add(Carried::new(Machine::Many(Box::new(bond)), handover, None, None));
    }

    /// The port of a link is open, or could not be opened.
    fn call_link(
        &mut self,
        now: Instant,
        handover: &Arc<Handover>,
        link: LinkId,
        opened: Option<Box<(Lease, SocketAddr)>>,
    ) {
        let key = handover.slot();
        self.make_due(key);
        let Some(Machine::Many(bond)) = self.carried.get_mut(key).map(|carried| &mut carried.machine) else {
            return; // the group is gone, and so is the lease
        };
        let Some((lease, peer)) = opened.map(|opened| *opened) else {
            bond.group.call_failed(now, link);
            return;
        };
        let port = lease.port().slot();
        let socket = lease.port().allot_id();
        let (Some(wire), Ok(socket)) = (self.wires.get_mut(port), socket) else {
            bond.group.call_failed(now, link);
            return;
        };
        wire.endpoint.register(socket, peer);
        wire.add(socket, key);
        bond.open(link, socket, port, lease);
        if !bond.call(now, link, socket, peer) {
            // It was taken out, or the group began to end, while the port was being opened.
            self.tools.closed.extend(bond.close(link));
            self.serve_links();
        }
    }

    /// The group of this worker that mirrors the one a caller names.
    fn group_of(&self, incoming: &Incoming) -> Option<u32> {
        let theirs = incoming.group?.id;
        self.carried.keys().into_iter().find(|&key| {
            matches!(
                self.carried.get(key).map(|carried| &carried.machine),
                Some(Machine::Many(bond)) if bond.group.peer_id() == Some(theirs) && bond.group.is_mirror()
            )
        })
    }

    /// A caller whose link belongs to a group: it joins the one there is, or a new one comes to be.
    fn accept_link(
        &mut self,
        now: Instant,
        port: u32,
        listening: &Arc<Listening>,
        incoming: &Incoming,
        (socket, lease, config): (SocketId, Lease, Config),
    ) {
        let known = self.group_of(incoming);
        let Some(wire) = self.wires.get_mut(port) else { return };
        let mut fresh = None;
        let group = match known {
            Some(key) => match self.carried.get_mut(key).map(|carried| &mut carried.machine) {
                Some(Machine::Many(bond)) => &mut bond.group,
                _ => return,
            },
            None => {
                let Some(group) =
                    port::random_u32().ok().and_then(|id| Group::mirror(now, config.clone(), id, incoming))
                else {
                    wire.endpoint.reject(now, incoming, RejectReason::Group);
                    wire.shared.free_id(socket);
                    return;
                };
                fresh.insert(group)
            }
        };
        let accepted = match group.may_join(incoming) {
            Ok(()) => {
                let terms = group.terms(incoming);
                wire.endpoint.accept_link(now, incoming, &config, socket, terms).ok()
            }
            Err(reason) => {
                wire.endpoint.reject(now, incoming, reason);
                None
            }
        };
        let Some(link) = accepted.and_then(|accepted| group.join(now, accepted)) else {
            tracing::debug!(peer = %incoming.peer, "link of a group not accepted");
            listening.rejected.fetch_add(1, Ordering::Relaxed);
            wire.shared.free_id(socket);
            return;
        };
        // Before anything that the link has to say: a caller that does not know yet understands nothing else.
        wire.transmit(ANSWERS, &mut self.tools.spares, |endpoint, batch| endpoint.poll_transmit(batch));
        let local = wire.local_addr(incoming.local_ip);
        let key = match (known, fresh) {
            (Some(key), _) => key,
            (None, Some(group)) => {
                let face = Arc::new(GroupFace::new(group.mode(), group.id()));
                let bond = Bond::new(group, Arc::clone(&face));
                let handover =
                    Handover::of_group(incoming.peer, local, config, Arc::clone(&self.inbox), face);
                let listening = Some(Arc::clone(listening));
                let machine = Machine::Many(Box::new(bond));
                self.add(Carried::new(machine, Arc::new(handover), listening, incoming.local_ip))
            }
            (None, None) => return,
        };
        self.lead(port, socket, key);
        if let Some(bond) = self.bond_mut(key) {
            bond.open(link, socket, port, lease);
        }
        self.make_due(key);
        // At once, so that a new group counts against the backlog before the next caller is asked about.
        self.turn(now, key);
    }

    /// Asks the hook about every caller that waits, or decides at once where there is none.
    fn ask_about_callers(&mut self, now: Instant, key: u32) {
        while let Some(wire) = self.wires.get_mut(key)
            && let Some(incoming) = wire.endpoint.poll_incoming()
        {
            let Some((listening, _)) = &wire.listening else {
                wire.endpoint.reject(now, &incoming, RejectReason::Close);
                continue;
            };
            let listening = Arc::clone(listening);
            // A link of a group that there is takes no place.
            let joins = self.group_of(&incoming).is_some();
            let Some(wire) = self.wires.get_mut(key) else { return };
            if !joins && listening.ready() >= listening.backlog {
                listening.backlog_full.fetch_add(1, Ordering::Relaxed);
                wire.endpoint.reject(now, &incoming, RejectReason::Backlog);
                continue;
            }
            let Some(hook) = listening.hook() else {
                self.decide(now, &listening, &incoming, Decision::Accept);
                continue;
            };
            let request = ConnectRequest {
                peer: incoming.peer,
                local: wire.local_addr(incoming.local_ip),
                stream_id: incoming.stream_id.clone(),
                peer_version: incoming.peer_version,
                encrypted: incoming.encrypted,
                group: incoming.group,
            };
            let mut verdict = Verdict {
                inbox: Arc::clone(&self.inbox),
                listening,
                incoming: Some(Box::new(incoming.clone())),
                decision: Decision::Reject(RejectReason::ISE),
            };
            let asked = self.callbacks.run(move || {
                let mut hook = hook.lock().unwrap_or_else(PoisonError::into_inner);
                match catch_unwind(AssertUnwindSafe(|| hook(&request))) {
                    Ok(decision) => verdict.say(decision),
                    Err(_) => tracing::error!(peer = %request.peer, "the accept hook panicked; the caller is refused"),
                }
            });
            if let Err(error) = asked {
                tracing::error!(%error, "no thread for the accept hook; callers are refused");
            }
        }
    }

    /// Carries out what was decided on a caller.
    fn decide(&mut self, now: Instant, listening: &Arc<Listening>, incoming: &Incoming, decision: Decision) {
        let Some(key) = listening.port_of(&self.inbox).map(|port| port.slot()) else { return };
        let joins = self.group_of(incoming).is_some();
        let Some(wire) = self.wires.get_mut(key) else { return };
        if !std::mem::replace(&mut wire.busy, true) {
            self.busy.push(key);
        }
        let config = match decision {
            _ if self.finishing || listening.is_closed() => Err(RejectReason::Close),
            // While the hook looked at this one others may have taken the last places.
            Decision::Accept | Decision::AcceptWith(_) if !joins && listening.ready() >= listening.backlog => {
                listening.backlog_full.fetch_add(1, Ordering::Relaxed);
                Err(RejectReason::Backlog)
            }
            Decision::Reject(reason) => {
                listening.rejected.fetch_add(1, Ordering::Relaxed);
                Err(reason)
            }
            Decision::Accept => Ok(listening.config.clone()),
            Decision::AcceptWith(options) => options.check().map(|()| options.config().clone()).map_err(|error| {
                tracing::error!(%error, "the accept hook gave options that are not allowed; the caller is refused");
                RejectReason::Ipe
            }),
        };
        let accepted = config.and_then(|config| {
            let unused = |_| RejectReason::System;
            Ok((wire.shared.allot_id().map_err(unused)?, wire.shared.lease().map_err(unused)?, config))
        });
        let (id, lease, config) = match accepted {
            Ok(accepted) => accepted,
            Err(reason) => {
                wire.endpoint.reject(now, incoming, reason);
                return;
            }
        };
        if incoming.group.is_some() {
            self.accept_link(now, key, listening, incoming, (id, lease, config));
            return;
        }
        let connection = match wire.endpoint.accept(now, incoming, config.clone(), id) {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(peer = %incoming.peer, %error, "caller not accepted");
                if matches!(error, AcceptError::Rejected(_)) {
                    listening.rejected.fetch_add(1, Ordering::Relaxed);
                }
                wire.shared.free_id(id);
                return;
            }
        };
        // Before anything that the connection has to say: a caller that does not know yet understands nothing else.
        wire.transmit(ANSWERS, &mut self.tools.spares, |endpoint, batch| endpoint.poll_transmit(batch));
        let (local, local_ip): (_, Option<IpAddr>) = (wire.local_addr(incoming.local_ip), incoming.local_ip);
        let handover = Handover::new(id, incoming.peer, local, config, Arc::clone(&self.inbox));
        let listening = Some(Arc::clone(listening));
        let machine = Machine::One { connection: Box::new(connection), port: key, lease };
        let (port, key) = (key, self.add(Carried::new(machine, Arc::new(handover), listening, local_ip)));
        self.lead(port, id, key);
        // At once, so that it counts against the backlog before the next caller is asked about.
        self.turn(now, key);
    }

    // ---- the end -----------------------------------------------------------------------------------------------

    fn finish(&mut self, abort: bool) {
        self.finishing = true;
        for key in self.wires.keys() {
            let Some((listening, _)) = self.wires.get(key).and_then(|wire| wire.listening.as_ref()) else {
                continue;
            };
            let listening = Arc::clone(listening);
            if listening.end() {
                listening.end_listening();
            }
            self.unlisten(&listening, None);
        }
        for key in self.carried.keys() {
            if let Some(carried) = self.carried.get(key) {
                // As if the application had asked for it: the order comes back through the inbox.
                Arc::clone(&carried.handover).close(abort);
            }
        }
    }
}

impl Drop for Worker {
    /// However the thread ends, nobody waits for it in vain.
    fn drop(&mut self) {
        let now = self.now();
        let mut mail = std::mem::take(&mut self.mail);
        self.inbox.shut(&mut mail);
        for command in mail.commands {
            match command {
                Command::Connect { handover, .. } | Command::Group { handover, .. } => {
                    bid_farewell(&handover, ConnectionError::Closed, None, &mut self.tools);
                }
                Command::Listen { listening, .. } => listening.close(false),
                _ => {}
            }
        }
        for key in self.carried.keys() {
            let Some(Carried { machine, handover, unsent, .. }) = self.carried.remove(key) else {
                continue;
            };
            bid_farewell(&handover, ConnectionError::Closed, Some((&machine, now, unsent)), &mut self.tools);
        }
        for key in self.wires.keys() {
            let Some(wire) = self.wires.remove(key) else { continue };
            let Wire { shared, listening, socket, .. } = wire;
            if let Some((listening, lease)) = listening {
                // Other workers that serve the same port close it too.
                listening.close(false);
                lease.end().iter().filter(|port| !Arc::ptr_eq(port, &shared)).for_each(port::close);
            }
            drop(socket);
            shared.closed();
        }
        self.tools.calls.make();
    }
}

/// What the hook has said, on its way to the worker. If it says nothing, because it panicked or there is no thread for it,
/// that is a refusal.
struct Verdict {
    inbox: Arc<Inbox>,
    listening: Arc<Listening>,
    incoming: Option<Box<Incoming>>,
    decision: Decision,
}

impl Verdict {
    fn say(&mut self, decision: Decision) {
        self.decision = decision;
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            let decision = std::mem::replace(&mut self.decision, Decision::Accept);
            // A worker that is gone has nobody to accept.
            self.inbox
                .send(Command::Decide { listening: Arc::clone(&self.listening), incoming, decision })
                .ok();
        }
    }
}

/// Leaves the last word on a connection with the application; there is no connection where it never came to be.
fn bid_farewell(
    handover: &Arc<Handover>,
    reason: ConnectionError,
    last: Option<(&Machine, Instant, u64)>,
    tools: &mut Tools,
) {
    handover.set_slot(super::slab::NOWHERE);
    let unconfirmed = last.map_or(0, |(machine, _, unsent)| machine.unconfirmed() + unsent);
    let last = last.map(|(machine, now, _)| machine.snapshot(now));
    if let Some(group) = handover.group() {
        group.end();
    }
    handover.set_closed(reason, unconfirmed, last, &mut tools.calls);
}

/// Watches a port's socket for what it waits for now.
fn watch(poller: &Poller, wire: &Wire, key: u32) {
    let interest = if wire.awaited { Interest::BOTH } else { Interest::READABLE };
    if let Err(error) = poller.modify(&wire.socket, u64::from(key), interest) {
        tracing::error!(local = %wire.shared.local(), %error, "a UDP port cannot be watched");
    }
}

/// What the system needs for a message beyond its bytes, about.
const MESSAGE_OVERHEAD: usize = 900;
/// Answers to callers that leave in one turn.
const ANSWERS: usize = 256;
