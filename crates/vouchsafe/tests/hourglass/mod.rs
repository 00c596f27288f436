//! A timer that the test moves, and calls that wait by it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use vouchsafe::core::Timer;
use vouchsafe::gate::Login;

/// Time passes when the test says so.
#[derive(Clone, Default)]
pub struct Hourglass(Arc<Mutex<(Duration, Vec<Waker>)>>);

impl Hourglass {
    pub fn pass(&self, duration: Duration) {
        let mut glass = self.0.lock().unwrap();
        glass.0 += duration;
        let wakers = std::mem::take(&mut glass.1);
        drop(glass);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Timer for Hourglass {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        let glass = Arc::clone(&self.0);
        let end = glass.lock().unwrap().0 + duration;
        poll_fn(move |context| {
            let mut glass = glass.lock().unwrap();
            if glass.0 >= end {
                return Poll::Ready(());
            }
            glass.1.push(context.waker().clone());
            Poll::Pending
        })
    }
}

pub type Waiting<'a> = Pin<Box<dyn Future<Output = Login> + 'a>>;

pub fn poll(waiting: &mut Waiting<'_>) -> Option<Login> {
    match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(login) => Some(login),
        Poll::Pending => None,
    }
}
