//! A mailer that nobody has taught what to send.
//! error: E0277
//! fix: implement `Notify` over your own mailer
use vouchsafe::gate::{GateBuilder, HostError, Mail, Notify};

pub struct Mailer;

#[cfg(fixed)]
impl Notify for Mailer {
    async fn send(&self, mail: Mail) -> Result<(), HostError> {
        drop(mail.link); // to `mail.to`
        Ok(())
    }
}

pub fn start(gate: GateBuilder, mailer: Mailer) -> GateBuilder {
    gate.notify(mailer)
}
