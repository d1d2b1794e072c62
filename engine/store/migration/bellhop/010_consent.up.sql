-- When the hours open that an immediate step waits for, or waited for; 0 if it did not.
ALTER TABLE deliveries ADD COLUMN opens_at integer NOT NULL DEFAULT 0;

-- The addresses that are not written to, by location; '' is all of them.
CREATE TABLE suppressed (
    location text NOT NULL,
    channel text NOT NULL,
    address text NOT NULL,
    reason text NOT NULL,
    at integer NOT NULL,
    proposed integer NOT NULL, -- it only should be on the list
    PRIMARY KEY (address, channel, location)
);
