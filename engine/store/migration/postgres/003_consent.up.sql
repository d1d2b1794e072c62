-- When the hours open that an immediate step waits for, or waited for; 0 if it did not.
ALTER TABLE deliveries ADD COLUMN opens_at bigint NOT NULL DEFAULT 0;

-- The addresses that are not written to, by location; '' is all of them.
CREATE TABLE suppressed (
    location text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    at bigint NOT NULL,
    proposed boolean NOT NULL, -- it only should be on the list
    PRIMARY KEY (address, channel, location)
);
