//! Tasks: who is ready, how they are woken, and how they get here. Knows no
//! socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::sockets::Sockets;

/// What is known of a loop outside of its thread.
pub(super) struct Remote {
    caller: mio::Waker,
    registry: mio::Registry,
    sockets: Mutex<Sockets>,
    /// Something is below that the loop has not taken.
    news: AtomicBool,
    woken: Mutex<Vec<usize>>,
    /// `None`: the loop takes no more.
    spawned: Mutex<Option<Vec<BoxFuture<'static, ()>>>>,
    over: AtomicBool,
}

impl Remote {
    pub(super) fn new(registry: mio::Registry, caller: mio::Waker) -> Self {
        Self {
            caller,
            registry,
            sockets: Mutex::default(),
            news: AtomicBool::new(false),
            woken: Mutex::default(),
            spawned: Mutex::new(Some(Vec::new())),
            over: AtomicBool::new(false),
        }
    }

    pub(super) fn registry(&self) -> &mio::Registry {
        &self.registry
    }

    pub(super) fn sockets(&self) -> MutexGuard<'_, Sockets> {
        lock(&self.sockets)
    }

    /// Whether there are news; they are about to be taken.
    pub(super) fn has_news(&self) -> bool {
        self.expects_news() && self.news.swap(false, Ordering::AcqRel)
    }

    pub(super) fn expects_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    pub(super) fn woken(&self) -> Vec<usize> {
        std::mem::take(&mut lock(&self.woken))
    }

    pub(super) fn spawned(&self) -> Vec<BoxFuture<'static, ()>> {
        let mut spawned = lock(&self.spawned);
        spawned.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Takes no more tasks; those that wait are dropped.
    pub(super) fn close(&self) {
        // Dropped behind the lock: a task may have anything to do at its end.
        let left = lock(&self.spawned).take();
        drop(left);
    }

    fn call(&self) {
        if !self.news.swap(true, Ordering::AcqRel) && !Here::is(self) {
            // It fails for a loop whose descriptors are gone: nobody is there.
            let _ = self.caller.wake();
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// The loop of this thread, if it has one.
    static HERE: RefCell<Option<Rc<Here>>> = const { RefCell::new(None) };
}

/// What a loop's own thread knows of its tasks.
pub(super) struct Here {
    remote: Arc<Remote>,
    ready: RefCell<VecDeque<usize>>,
    /// The task whose turn it is.
    turn: Cell<usize>,
    /// Those that woke themselves: they want others to have a turn, and the
    /// sockets to be looked at.
    gave_way: RefCell<Vec<usize>>,
}

/// Nobody's turn.
const NOBODY: usize = usize::MAX;

/// The thread's time as a loop, which ends when this is dropped.
pub(super) struct Entered(Rc<Here>);

impl Drop for Entered {
    fn drop(&mut self) {
        HERE.take();
    }
}

impl Deref for Entered {
    type Target = Here;

    fn deref(&self) -> &Here {
        &self.0
    }
}

impl Here {
    pub(super) fn enter(remote: &Arc<Remote>) -> Entered {
        let here = Rc::new(Self {
            remote: Arc::clone(remote),
            ready: RefCell::default(),
            turn: Cell::new(NOBODY),
            gave_way: RefCell::default(),
        });
        HERE.set(Some(Rc::clone(&here)));
        Entered(here)
    }

    /// Whether this thread runs that loop.
    fn is(remote: &Remote) -> bool {
        Self::with(|here| ptr::eq(&*here.remote, remote)).unwrap_or(false)
    }

    pub(super) fn remote() -> Option<Arc<Remote>> {
        Self::with(|here| Arc::clone(&here.remote))
    }

    #[inline]
    fn with<T>(look: impl FnOnce(&Self) -> T) -> Option<T> {
        // A thread that is about to end runs none.
        let looked = HERE.try_with(|here| here.borrow().as_deref().map(look));
        looked.ok().flatten()
    }

    pub(super) fn push(&self, key: usize) {
        self.ready.borrow_mut().push_back(key);
    }

    #[inline]
    pub(super) fn pop(&self) -> Option<usize> {
        let mut ready = self.ready.borrow_mut();
        let key = ready.pop_front()?;
        if ready.is_empty() {
            // It begins anew, in memory that is warm, where it would go round.
            ready.clear();
        }
        self.turn.set(key);
        Some(key)
    }

    #[inline]
    pub(super) fn end_of_turn(&self) {
        self.turn.set(NOBODY);
    }

    /// Whether a task is ready, or will be behind the next look.
    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty() || !self.gave_way.borrow().is_empty()
    }

    #[inline]
    pub(super) fn resume_those_that_gave_way(&self) {
        let mut gave_way = self.gave_way.borrow_mut();
        if !gave_way.is_empty() {
            self.ready.borrow_mut().extend(gave_way.drain(..));
        }
    }

    /// Makes a task of that loop ready, if it is this thread's.
    #[inline]
    fn wake(remote: &Remote, key: usize) -> bool {
        let woken = Self::with(|here| {
            let is_here = ptr::eq(&*here.remote, remote);
            if is_here && here.turn.get() == key {
                here.gave_way.borrow_mut().push(key);
            } else if is_here {
                here.push(key);
            }
            is_here
        });
        woken.unwrap_or(false)
    }
}

/// A task, in a cache line of its own.
#[repr(align(64))]
pub(super) struct Entry {
    job: Arc<Job>,
    waker: Waker,
    future: BoxFuture<'static, ()>,
}

impl Entry {
    pub(super) fn new(key: usize, future: BoxFuture<'static, ()>, remote: &Arc<Remote>) -> Self {
        let job = Arc::new(Job {
            key,
            // It is about to have its first turn.
            queued: AtomicBool::new(true),
            remote: Arc::clone(remote),
        });
        Self {
            waker: Waker::from(Arc::clone(&job)),
            job,
            future,
        }
    }

    /// Its turn: from now on it can be woken again.
    #[inline]
    pub(super) fn begin(&mut self) -> (&Waker, &mut BoxFuture<'static, ()>) {
        self.job.queued.store(false, Ordering::Release);
        (&self.waker, &mut self.future)
    }
}

/// What a task is woken by, in a cache line of its own.
#[repr(align(64))]
struct Job {
    /// Of the entry; it may be another task's by now, which a turn more does no
    /// harm.
    key: usize,
    queued: AtomicBool,
    remote: Arc<Remote>,
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) || Here::wake(&self.remote, self.key) {
            return;
        }
        lock(&self.remote.woken).push(self.key);
        self.remote.call();
    }
}

/// Gives tasks to a thread: to its loop, or to the tokio runtime that it has.
#[derive(Clone, Debug)]
pub struct Spawner(Place);

#[derive(Clone, Debug)]
enum Place {
    Loop(Arc<Remote>),
    Runtime(Handle),
}

impl From<Handle> for Spawner {
    fn from(runtime: Handle) -> Self {
        Self(Place::Runtime(runtime))
    }
}

impl Spawner {
    pub(super) fn of_loop(remote: Arc<Remote>) -> Self {
        Self(Place::Loop(remote))
    }

    /// The thread that this is called on.
    ///
    /// # Panics
    /// Where there is neither a loop nor a tokio runtime.
    #[must_use]
    pub fn here() -> Self {
        Self(match Here::remote() {
            Some(remote) => Place::Loop(remote),
            None => Place::Runtime(Handle::current()),
        })
    }

    /// Starts a task there. It goes on if nobody waits for it.
    pub fn spawn<F>(&self, work: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let tell = Some(tell);
        let work = Telling { work, tell };
        match &self.0 {
            Place::Runtime(runtime) => drop(runtime.spawn(work)),
            Place::Loop(remote) => {
                if let Some(spawned) = lock(&remote.spawned).as_mut() {
                    spawned.push(Box::pin(work));
                }
                remote.call();
            }
        }
        Task(told)
    }

    /// Ends the loop, and with it its tasks. A runtime goes on.
    pub fn end(&self) {
        if let Place::Loop(remote) = &self.0 {
            remote.over.store(true, Ordering::Release);
            remote.call();
        }
    }
}

pin_project! {
    /// Work whose end is told. Flat on purpose: tokens come this way.
    struct Telling<F: Future> {
        #[pin]
        work: F,
        tell: Option<oneshot::Sender<F::Output>>,
    }
}

impl<F: Future> Future for Telling<F> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let output = ready!(this.work.poll(cx));
        if let Some(tell) = this.tell.take() {
            // Nobody may wait for it.
            let _ = tell.send(output);
        }
        Poll::Ready(())
    }
}

/// Starts a task on the thread that this is called on.
///
/// # Panics
/// Where there is neither a loop nor a tokio runtime.
pub(crate) fn spawn<F>(work: F) -> Task<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    Spawner::here().spawn(work)
}

/// The end of a task, to be awaited. Dropping it leaves the task at work.
#[derive(Debug)]
pub struct Task<T>(oneshot::Receiver<T>);

/// A task ended without a result: it panicked, or its thread is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl<T> Future for Task<T> {
    type Output = Result<T, Gone>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| Gone)
    }
}
