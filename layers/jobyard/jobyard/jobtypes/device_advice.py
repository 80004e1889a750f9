"""What a person can do at a device, whatever the job is."""

UNREACHED = (
    "Check that the device has power and is connected, that its address is right, and that its "
    "secret has valid credentials. GET /device at its address must answer."
)
