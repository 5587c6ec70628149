//! What every broker must do, by the embedded one.

use tidings_tests::conformance::Embedded;

tidings_tests::conforms!(Embedded);
tidings_tests::conforms_over_amqp!(none(
    "the embedded broker does not speak AMQP: nobody but Tidings writes to its file"
));
tidings_tests::survives_outages!(none(
    "the embedded broker is a file on this host: it does not go away, freeze or raise alarms"
));
