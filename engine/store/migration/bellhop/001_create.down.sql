DROP TABLE probe; DROP TABLE rule_files; DROP TABLE deliveries; DROP TABLE appointments; DROP TABLE events;
